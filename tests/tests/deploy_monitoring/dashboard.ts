// What a dashboard is to Grafana as JSON, where enumerations are written as their values. The test appends the dashboard, and
// of each panel what its type alone has.
import type { Dashboard, DataQuery } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Written<T> = T extends string ? `${T}`
  : T extends (infer Item)[] ? Written<Item>[]
  : T extends object ? { [Key in keyof T]: Written<T[Key]> }
  : T;

/** A query of a Prometheus. */
interface Query extends DataQuery {
  expr: string;
  legendFormat: string;
  instant?: boolean;
}

/** What panels of a type have of their own. */
interface Own {
  stat: { options: stat.Options; custom?: undefined; targets: Query[] };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig; targets: Query[] };
}

// @ts-expect-error: a legend that Grafana does not know is refused.
export const wrong: Written<timeseries.Options> = {legend: {calcs: [], displayMode: 'table', placement: 'under', showLegend: true}, tooltip: {mode: 'multi', sort: 'desc'}};
