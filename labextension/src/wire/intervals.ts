/** Timeouts of the browser, in milliseconds; they must exceed those in `jupyter_kfp_mt/intervals.py`. */

/** For requests that the Jupyter server answers itself. */
export const SERVER_TIMEOUT = 30_000;
/** For requests that it forwards to KFP: it has a timeout of its own, and reports it. */
export const KFP_TIMEOUT = 75_000;
/** A stream of events has a sign of life every 15 seconds; after this silence it is dead. */
export const SILENCE = 37_500;
/** While events report changes, polling is only for the connection. */
export const TOLD = 30_000;
export const LONGEST_BACKOFF = 60_000;
