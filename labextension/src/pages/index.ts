/** The pages of the main area, which are loaded with the first that is opened. */

export { ComparePage } from './compare_page';
export { PipelinePage } from './pipeline_page';
export { RunPage } from './run_page';
