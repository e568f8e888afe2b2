/** How long the browser waits, in milliseconds: `jupyter_kfp_mt/intervals.py` has what it waits for. */

/** For what the Jupyter server answers by itself. */
export const SERVER_TIMEOUT = 30_000;
/** For what it asks KFP: it waits itself, and says what came of that. */
export const KFP_TIMEOUT = 75_000;
/** A stream of events says something every 15 seconds; what is silent for so long is dead. */
export const SILENCE = 37_500;
/** While changes are told, to ask is only for what is not: the connection. */
export const TOLD = 30_000;
export const LONGEST_BACKOFF = 60_000;
