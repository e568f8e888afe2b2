import {
  htmlRendererFactory,
  MimeModel,
  RenderMimeRegistry
} from '@jupyterlab/rendermime';
import { KernelMessage } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { Panel, Widget } from '@lumino/widgets';

import { ControlsRenderer, place, WIDGET_TYPE } from '../controls';

/** What ipywidgets draw: nothing, until a kernel has the widget. */
class Live extends Panel {
  static shown: Live[] = [];

  async renderModel(): Promise<void> {
    Live.shown.push(this);
  }
}

const lost = new Signal<object, void>({});
let ran: HTMLElement[] = [];

function renderer(): ControlsRenderer {
  Live.shown = [];
  ran = [];
  const registry = new RenderMimeRegistry({
    initialFactories: [htmlRendererFactory]
  });
  registry.addFactory({
    safe: false,
    mimeTypes: [WIDGET_TYPE],
    createRenderer: () => new Live()
  });
  return new ControlsRenderer({
    registry,
    ready: Promise.resolve(),
    lost,
    runCell: node => ran.push(node),
    trans: nullTranslator.load('')
  });
}

function saved(trusted: boolean): MimeModel {
  const data = {
    'text/html': '<p>as it was</p>',
    'text/plain': 'as it was',
    [WIDGET_TYPE]: { model_id: '1' }
  };
  return new MimeModel({ data, trusted });
}

it('shows what was saved until there are widgets, and those then', async () => {
  const output = renderer();
  await output.renderModel(saved(true));
  const [last, live] = output.widgets;
  expect(last.node.textContent).toContain('as it was');
  expect([last.isHidden, live.isHidden]).toEqual([false, true]);
  Live.shown[0].addWidget(new Widget());
  expect([last.isHidden, live.isHidden]).toEqual([true, false]);
});

it('draws no widgets of a notebook that is not trusted', async () => {
  const output = renderer();
  await output.renderModel(saved(false));
  expect(output.widgets.length).toBe(1);
  expect(Live.shown).toEqual([]);
});

it('says that its widgets have lost their kernel, and offers to run the cell', async () => {
  const output = renderer();
  await output.renderModel(saved(true));
  lost.emit(); // of a kernel that never had them
  expect(output.node.querySelector('button')).toBeNull();
  const [live] = Live.shown;
  live.addWidget(new Widget());
  lost.emit();
  expect(live.isDisposed).toBe(true);
  expect(output.widgets[0].isHidden).toBe(false);
  const note = output.node.querySelector('[role=status]');
  expect(note?.textContent).toContain('lost its kernel');
  output.node.querySelector('button')!.click();
  expect(ran).toEqual([output.node]);
  lost.emit();
  expect(output.node.querySelectorAll('button')).toHaveLength(1);
});

it('shows the widgets of another kernel without that note', async () => {
  const output = renderer();
  const model = saved(true);
  await output.renderModel(model);
  Live.shown[0].addWidget(new Widget());
  lost.emit();
  const data = { ...model.data, [WIDGET_TYPE]: { model_id: '2' } };
  await output.renderModel(new MimeModel({ data, trusted: true }));
  Live.shown[1].addWidget(new Widget());
  expect(output.node.querySelector('button')).toBeNull();
  expect(output.widgets.map(each => each.isHidden)).toEqual([true, false]);
});

it('writes what the kernel tells to keep into the notebook, and draws no widget anew', async () => {
  const output = renderer();
  const model = saved(true);
  const written = new Promise<MimeModel['data']>(resolve => {
    model.setData = ({ data }) => resolve(data!);
  });
  await output.renderModel(model);
  const kept = new Widget();
  kept.addClass('jp-KfpMt-kept');
  kept.node.innerHTML =
    '<div class="widget-html-content"><div><b>x</b> = 3</div><pre>x = 3</pre></div>';
  Live.shown[0].addWidget(kept);
  const data = await written;
  expect(data['text/html']).toBe('<b>x</b> = 3');
  expect(data['text/plain']).toBe('x = 3');
  await output.renderModel(model);
  expect(Live.shown.length).toBe(1);
});

it('brings news to the output that is their place, and to no other', () => {
  const outputs = (place: string) => {
    const found = [{ data: {}, metadata: { 'kfp-mt': { place } } }];
    return {
      length: 1,
      get: (index: number) => found[index],
      set: jest.fn()
    };
  };
  const [meant, other] = [outputs('a'), outputs('b')];
  const content = {
    data: { 'text/plain': 'run' },
    metadata: { 'kfp-mt': { place: 'a' } }
  };
  const message = {
    header: { msg_type: 'update_display_data' },
    channel: 'iopub',
    content
  } as unknown as KernelMessage.IMessage;
  const cells = [meant, other].map(each => ({ model: { outputs: each } }));
  place(message, [...cells, { model: {} }]);
  expect(meant.set.mock.calls).toEqual([
    [0, { output_type: 'display_data', ...content }]
  ]);
  expect(other.set).not.toHaveBeenCalled();
});
