"""A kernel that a Jupyter server has started, as a notebook uses it."""

from jupyter_client import BlockingKernelClient


def in_kernel(connection_file, code):
    """Return the text that it prints and shows."""
    client = BlockingKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels(hb=False)  # a kernel that starts slowly is not dead
    try:
        client.wait_for_ready(300)
        said = []
        client.execute_interactive(code, timeout=300, output_hook=said.append)
        return "".join(map(shown, said))
    finally:
        client.stop_channels()


def shown(message):
    """Return the text of a message of a kernel's."""
    content = message["content"]
    if message["msg_type"] in ("execute_result", "display_data"):
        return content["data"].get("text/plain", "")
    if message["msg_type"] == "error":
        return f"{content['ename']}: {content['evalue']}"
    return content.get("text", "")
