/** The origin of a run, read from its description: see `jupyter_kfp_mt/client/provenance.py`. */

export interface IProvenance {
  /** The path of a notebook, as named by the Jupyter server, or relative to the home folder. */
  notebook: string;
  /** The execution count. */
  cell: string;
  /** The id of the cell in the notebook. */
  cell_id: string;
  commit: string;
  by: string;
}

const LINE = /^(Notebook|Cell|Git commit|Started by): (.*)$/gm;
const CELL = /^(\d*) ?(?:\(([\w-]+)\))?$/;

export function provenanceOf(description: string): IProvenance {
  const found = new Map<string, string>();
  for (const [, label, text] of description.matchAll(LINE)) {
    found.set(label, text.trim());
  }
  const cell = CELL.exec(found.get('Cell') ?? '');
  return {
    notebook: found.get('Notebook') ?? '',
    cell: cell?.[1] ?? '',
    cell_id: cell?.[2] ?? '',
    commit: found.get('Git commit') ?? '',
    by: found.get('Started by') ?? ''
  };
}

/** The user's own part of a description. */
export function withoutProvenance(description: string): string {
  return description.replace(LINE, '').trim();
}
