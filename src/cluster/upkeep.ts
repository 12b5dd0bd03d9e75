/** What is due by the clock: changes that wait for a maintenance window, and clusters that were stopped for a week. */
import { STOPPED_MS_MAX } from './cluster-views.ts'
import { isInWindow } from './maintenance-window.ts'
import type { RegionControl } from './region-control.ts'

export function keepUp(control: RegionControl, now: Date): void {
  for (const { name, pending, settings, stoppedMs } of control.store.clusters()) {
    const status = control.cluster(name)?.status
    if (status === 'stopped' && stoppedMs !== null && now.getTime() - stoppedMs > STOPPED_MS_MAX)
      control.startAgain(name, 'clusterStartedAfterDays')
    if (status !== 'available') continue
    if (Object.keys(pending).length > 0 && isInWindow(settings.maintenanceWindow, now)) control.applyPending(name)
    for (const each of control.store.instancesOf(name)) {
      const isDue = Object.keys(each.pending).length > 0 && isInWindow(each.settings.maintenanceWindow, now)
      if (isDue && control.instance(each.name)?.status === 'available') control.again(each.name, 'modified')
    }
  }
}
