/** `/metrics`, in the form Prometheus reads: what is known of clusters and instances, and how the API answers. */
import { Gauge, Histogram, Registry } from 'prom-client'
import type { ControlPlane } from '../cluster/control-plane.ts'

/** Seconds. Describing takes a millisecond or two; a second is what nobody wants. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]

export class ApiMetrics {
  readonly #registry = new Registry()
  readonly #requests: Histogram<'service' | 'status'>

  constructor(plane: ControlPlane) {
    const registers = [this.#registry]
    this.#requests = new Histogram({
      name: 'borealis_api_request_seconds',
      help: 'How long requests of the API took, by service and HTTP status.',
      labelNames: ['service', 'status'],
      buckets: BUCKETS,
      registers,
    })
    new Gauge({
      name: 'borealis_cluster_info',
      help: '1 for each cluster, with its status.',
      labelNames: ['cluster', 'engine_version', 'status'],
      registers,
      collect() {
        this.reset()
        for (const { name, engineVersion, status } of plane.clusters())
          this.set({ cluster: name, engine_version: engineVersion, status }, 1)
      },
    })
    new Gauge({
      name: 'borealis_instance_info',
      help: '1 for each instance, with its role and status.',
      labelNames: ['cluster', 'instance', 'class', 'zone', 'role', 'status'],
      registers,
      collect() {
        this.reset()
        for (const { name, cluster, zone, role, status, settings } of plane.instances())
          this.set({ cluster, instance: name, class: settings.instanceClass, zone, role, status }, 1)
      },
    })
    new Gauge({
      name: 'borealis_volume_bytes_used',
      help: 'Bytes of the volume of a cluster that are in use.',
      labelNames: ['cluster'],
      registers,
      collect() {
        this.reset()
        for (const { name, volume } of plane.clusters()) {
          if (volume.bytesUsed !== null) this.set({ cluster: name }, volume.bytesUsed)
        }
      },
    })
    new Gauge({
      name: 'borealis_replica_lag_seconds',
      help: 'How far a reader is behind its writer.',
      labelNames: ['cluster', 'instance'],
      registers,
      collect() {
        this.reset()
        for (const { name, cluster, lagMs } of plane.instances()) {
          if (lagMs !== null) this.set({ cluster, instance: name }, lagMs / 1000)
        }
      },
    })
  }

  /** A request was answered. */
  observe(service: string, status: number, seconds: number): void {
    this.#requests.observe({ service, status: `${status}` }, seconds)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
