/** The release that this page has, which need not be the one that the Jupyter server has loaded. */
export const RELEASE = '0.1.0';
