/** Where a run was started from, as its description says: see `jupyter_kfp_mt/client/provenance.py`. */

export interface IProvenance {
  /** The path of a notebook, as the Jupyter server names it, or from the home folder on. */
  notebook: string;
  /** The number of the execution. */
  cell: string;
  /** The id by which the notebook names the cell. */
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

/** What a person wrote in a description. */
export function withoutProvenance(description: string): string {
  return description.replace(LINE, '').trim();
}
