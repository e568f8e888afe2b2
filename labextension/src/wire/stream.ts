/** Streams of server-sent events, and how long anything is waited for. */

import { SILENCE } from './intervals';

/** What is waited for, or a rejection once waiting longer makes no sense. */
export async function inTime<T>(
  timeout: number,
  answer: Promise<T>,
  late: () => Error = () => new Error()
): Promise<T> {
  let timer = 0;
  const tooLate = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(late()), timeout);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    window.clearTimeout(timer);
  }
}

/**
 * What stands between the blank lines of a stream, however it is cut. Rejects with what `silent`
 * gives once nothing has come for too long, as of a connection that is dead and does not know it.
 */
export async function* blocks(
  response: Response,
  silent: () => Error
): AsyncGenerator<string, void, undefined> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await inTime(SILENCE, reader.read(), silent);
      if (done) {
        return;
      }
      const whole = (rest + decoder.decode(value, { stream: true })).split(
        '\n\n'
      );
      rest = whole.pop() ?? '';
      yield* whole;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
