/** The pages of the main area, loaded when the first one is opened. */

export { ComparePage } from './compare_page';
export { PipelinePage } from './pipeline_page';
export { RunPage } from './run_page';
