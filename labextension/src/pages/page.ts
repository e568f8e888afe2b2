/** The base of all pages: a named region, which is rebuilt when the identity changes. */

import { LabIcon, ReactWidget } from '@jupyterlab/ui-components';

import { IKfpSession } from '../model/session';

export abstract class KfpPage extends ReactWidget {
  constructor(
    protected readonly session: IKfpSession,
    private readonly _label: string,
    icon: LabIcon
  ) {
    super();
    this.addClass('jp-KfpMt-page');
    this.title.icon = icon;
    this.title.closable = true;
    this.node.setAttribute('role', 'region');
    this.name(_label);
    session.model.placeChanged.connect(this._placeChanged, this);
  }

  dispose(): void {
    this.session.model.placeChanged.disconnect(this._placeChanged, this);
    super.dispose();
  }

  /** How often it has started over: what was asked before is shown no more. */
  protected get round(): number {
    return this._round;
  }

  protected name(label: string): void {
    this.title.label = label;
    this.node.setAttribute('aria-label', label);
  }

  /** Rebuild the page for the current identity. */
  protected startOver(): void {
    this.update();
  }

  private _placeChanged(): void {
    this._round++;
    this.name(this._label);
    this.startOver();
  }

  private _round = 0;
}
