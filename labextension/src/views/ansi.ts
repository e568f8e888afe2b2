/** Colours in logs (SGR sequences), as styled parts of a line. */

export interface IPart {
  text: string;
  /** CSS class names, such as `red bold`. */
  style: string;
}

const COLOURS = [
  'black',
  'red',
  'green',
  'yellow',
  'blue',
  'magenta',
  'cyan',
  'white'
];
// An SGR sequence, or any other control sequence.
const SEQUENCE =
  // eslint-disable-next-line no-control-regex
  /\u001b\[([0-9;]*)m|\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-_]/g;

/** A line without sequences. */
export function plain(line: string): string {
  return line.includes('\u001b') ? line.replace(SEQUENCE, '') : line;
}

/** A line in parts of one style each. Styles end with the line. */
export function parts(line: string): IPart[] {
  if (!line.includes('\u001b')) {
    return [{ text: line, style: '' }];
  }
  const found: IPart[] = [];
  let style = { bold: false, colour: '' };
  let last = 0;
  const add = (text: string) => {
    const words = [style.colour, style.bold ? 'bold' : ''].filter(Boolean);
    if (text) {
      found.push({ text, style: words.join(' ') });
    }
  };
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(last, match.index));
    last = match.index! + match[0].length;
    if (match[1] !== undefined) {
      style = styled(style, match[1]);
    }
  }
  add(line.slice(last));
  return found;
}

function styled(
  before: { bold: boolean; colour: string },
  codes: string
): { bold: boolean; colour: string } {
  const after = { ...before };
  const numbers = (codes || '0').split(';').map(Number);
  for (let i = 0; i < numbers.length; i++) {
    const code = numbers[i];
    if (code === 0) {
      [after.bold, after.colour] = [false, ''];
    } else if (code === 1 || code === 22) {
      after.bold = code === 1;
    } else if (code === 39) {
      after.colour = '';
    } else if (code >= 30 && code <= 37) {
      after.colour = COLOURS[code - 30];
    } else if (code >= 90 && code <= 97) {
      after.colour = COLOURS[code - 90];
    } else if (code === 38 || code === 48) {
      i += numbers[i + 1] === 5 ? 2 : 4; // a colour of a palette or RGB: ignored
    }
  }
  return after;
}
