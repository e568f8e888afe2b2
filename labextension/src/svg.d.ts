/** Importing an SVG file yields its text. */
declare module '*.svg' {
  const text: string;
  export default text;
}
