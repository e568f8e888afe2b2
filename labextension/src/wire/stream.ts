/** Streams of server-sent events, and timeouts. */

import { SILENCE } from './intervals';

/** Await a promise; rejects after a timeout. */
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
 * The blocks between blank lines of a stream, however it arrives in pieces. Rejects with the error
 * from `silent` after too long a silence, as on a dead connection.
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
