/** The release of this page, which may differ from that of the Jupyter server. */
export const RELEASE = '0.1.0';
