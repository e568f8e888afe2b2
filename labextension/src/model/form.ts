/** The parameters of a pipeline as fields of a form: their types, and typed text as values. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IJson } from '../wire/answers';

export interface IField {
  name: string;
  /** KFP's type of the parameter, such as NUMBER_INTEGER. */
  type: string;
  isOptional: boolean;
  /** The default value, as JSON; undefined if there is none. */
  default: unknown;
  description: string;
  /** The allowed values, as JSON, if they are limited. */
  literals: readonly unknown[];
}

/** The content of a field: a text, or null for no value. */
export type Texts = Record<string, string | null>;

/** The typed values in KFP's form, and the errors of invalid ones. */
export interface IRead {
  values: Record<string, unknown>;
  errors: Record<string, string>;
}

/** The fields of a compiled pipeline, required ones first. */
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

/** Return true if the field needs a value. */
export function isNeeded(field: IField): boolean {
  return field.default === undefined && !field.isOptional;
}

/** The initial content of the fields: the values of another run, else the defaults. */
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

/** A value as typed text: texts unchanged, everything else as JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string'
    ? value
    : JSON.stringify(value, null, isLong(value) ? 1 : undefined);
}

function isLong(value: unknown): boolean {
  return JSON.stringify(value)?.length > 40;
}

/** Read the content of all fields. */
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

/** A text as a value of the field's type; no value for empty text if there is a default. */
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

/** The name of a type in messages. */
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

/** Return true for an expression with five fields, which KFP reads differently from cron. */
export function isFiveFields(cron: string): boolean {
  const text = cron.trim();
  return !text.startsWith('@') && text.split(/\s+/).length === 5;
}
