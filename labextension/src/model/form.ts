/** The parameters of a pipeline as fields of a form: what they take, and what was typed as values. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IJson } from '../wire/answers';

export interface IField {
  name: string;
  /** KFP's type of the parameter, such as NUMBER_INTEGER. */
  type: string;
  isOptional: boolean;
  /** The value that is taken where none is given, as JSON; undefined where there is none. */
  default: unknown;
  description: string;
  /** The values that are taken, where there are only some; as JSON. */
  literals: readonly unknown[];
}

/** What a field holds: a text, or null for no value at all. */
export type Texts = Record<string, string | null>;

/** What was typed, as the values that KFP takes, and what is wrong with the rest. */
export interface IRead {
  values: Record<string, unknown>;
  errors: Record<string, string>;
}

/** The fields of a compiled pipeline: those first that need a value. */
export function fieldsOf(spec: IJson): IField[] {
  const given: Record<string, IJson> =
    spec.root?.inputDefinitions?.parameters ?? {};
  const fields = Object.entries(given).map(([name, definition]) => ({
    name,
    type: definition.parameterType ?? 'STRING',
    isOptional: definition.isOptional ?? false,
    default: definition.defaultValue,
    description: definition.description ?? '',
    literals: definition.literals ?? []
  }));
  const rank = (field: IField) => Number(!isNeeded(field));
  return fields.sort((a, b) => rank(a) - rank(b));
}

/** Tell whether nothing can be started without a value. */
export function isNeeded(field: IField): boolean {
  return field.default === undefined && !field.isOptional;
}

/** What the fields hold at first: the values of another run, else the defaults. */
export function textsOf(
  fields: readonly IField[],
  given: Record<string, unknown>
): Texts {
  return Object.fromEntries(
    fields.map(field => {
      const value = field.name in given ? given[field.name] : field.default;
      const isUnset = value === undefined || value === null;
      return [
        field.name,
        isUnset ? (field.isOptional ? null : '') : textOf(value)
      ];
    })
  );
}

/** A value as it is typed: a text as it is, everything else as JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string'
    ? value
    : JSON.stringify(value, null, isLong(value) ? 1 : undefined);
}

function isLong(value: unknown): boolean {
  return JSON.stringify(value)?.length > 40;
}

/** Read what was typed into all fields. */
export function readTexts(
  fields: readonly IField[],
  texts: Texts,
  trans: TranslationBundle
): IRead {
  const read: IRead = { values: {}, errors: {} };
  for (const field of fields) {
    const text = texts[field.name];
    if (text === null || text === undefined) {
      continue;
    }
    const { value, error } = readText(field, text, trans);
    if (error) {
      read.errors[field.name] = error;
    } else if (value !== undefined) {
      read.values[field.name] = value;
    }
  }
  return read;
}

/** A text as a value of the field's type; no value for nothing typed where there is a default. */
export function readText(
  field: IField,
  text: string,
  trans: TranslationBundle
): { value?: unknown; error?: string } {
  if (field.type === 'STRING') {
    return { value: text };
  }
  const typed = text.trim();
  if (!typed) {
    return isNeeded(field)
      ? { error: trans.__('A value is needed: %1.', words(field.type, trans)) }
      : {};
  }
  let value: unknown;
  try {
    value = JSON.parse(field.type === 'BOOLEAN' ? typed.toLowerCase() : typed);
  } catch (reason) {
    return { error: wrong(field, trans, reason) };
  }
  return fits(value, field.type) ? { value } : { error: wrong(field, trans) };
}

function wrong(
  field: IField,
  trans: TranslationBundle,
  reason?: unknown
): string {
  const isJson = ['LIST', 'STRUCT'].includes(field.type);
  return reason instanceof Error && isJson
    ? trans.__('It takes %1: %2', words(field.type, trans), reason.message)
    : trans.__('It takes %1.', words(field.type, trans));
}

function fits(value: unknown, type: string): boolean {
  switch (type) {
    case 'BOOLEAN':
      return typeof value === 'boolean';
    case 'NUMBER_INTEGER':
      return Number.isInteger(value);
    case 'NUMBER_DOUBLE':
      return typeof value === 'number';
    case 'LIST':
      return Array.isArray(value);
    case 'STRUCT':
      return !!value && typeof value === 'object' && !Array.isArray(value);
    default:
      return true;
  }
}

/** What a type takes, in words. */
export function words(type: string, trans: TranslationBundle): string {
  switch (type) {
    case 'STRING':
      return trans.__('text');
    case 'BOOLEAN':
      return trans.__('true or false');
    case 'NUMBER_INTEGER':
      return trans.__('a whole number');
    case 'NUMBER_DOUBLE':
      return trans.__('a number');
    case 'LIST':
      return trans.__('a JSON list');
    case 'STRUCT':
      return trans.__('a JSON object');
    default:
      return type;
  }
}

/** Tell whether it is what other crons take, which KFP reads otherwise. */
export function isFiveFields(cron: string): boolean {
  const text = cron.trim();
  return !text.startsWith('@') && text.split(/\s+/).length === 5;
}
