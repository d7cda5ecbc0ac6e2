import Foundation
import Primitives
import Transport

/// FileStore and, in turn with it, etcd: filled with the same keys, then written and read over random ones.
final class KeysComparison {
  struct Settings {
    var shapes: [Shape]
    var keys: UInt64
    var seed: UInt64
    var amount: LoadPlan.Amount
    var perSecond: Double?
    var fillSecondsMax: Double
  }

  /// One run at one system.
  private struct Run {
    var load: LoadResult
    /// Seconds of the system's processes for one request, if they are known.
    var processor: Double?
  }

  private struct Place: Hashable {
    var task: KeyTask
    var shape: Shape
    var system: String
  }

  /// Four requests of hundreds of rows in flight keep both sides busy.
  private static let fillShape = Shape(connections: 4, streams: 1)

  private let systems: [any LoadedSystem]
  private let tls: TLSContext?
  private let settings: Settings
  private let machine: Machine
  /// What the names of the figures begin with.
  private let prefix: String
  private let flushes: () -> UInt64
  private var runs: [Place: [Run]] = [:]
  private var rounds: UInt64 = 0

  /// - Parameter systems: ours, and the reference if there is one.
  init(
    _ systems: [any LoadedSystem], tls: TLSContext?, settings: Settings, machine: Machine, prefix: String = "keys",
    flushes: @escaping () -> UInt64 = Counting.flushes
  ) {
    self.systems = systems
    self.tls = tls
    self.settings = settings
    self.machine = machine
    self.prefix = prefix
    self.flushes = flushes
  }

  // MARK: filling

  /// Puts every key once into each system, one system after the other.
  func fill() throws(BenchError) {
    for system in systems {
      let (call, groups) = system.filling(settings.keys)
      var plan = LoadPlan(shape: Self.fillShape, amount: .requests(groups.count))
      plan.secondsMax = settings.fillSecondsMax
      note("filling \(system.name) with \(settings.keys) keys, \(groups.size) in a request")
      let result = try Load(system.endpoint, tls: tls, plan: plan).run(call, .sequence(0))
      note(String(format: "filled in %.1f s", result.seconds))
    }
  }

  func checkFilled() throws(BenchError) {
    for system in systems { try system.checkHolds(settings.keys) }
  }

  // MARK: rounds

  /// Each shape written and read; who comes first alternates. Both sides are asked for the same keys in the same order.
  func round() throws(BenchError) {
    for shape in settings.shapes {
      for task in KeyTask.allCases {
        let seed = settings.seed &+ rounds &* 2 &+ (task == .write ? 0 : 1)
        note("round \(rounds + 1): \(task.rawValue) \(shape)")
        for system in rounds % 2 == 0 ? systems : systems.reversed() {
          let run = try machine.measure { () throws(BenchError) in try self.run(system, task, shape, seed: seed) }
          runs[Place(task: task, shape: shape, system: system.name), default: []].append(run)
        }
      }
    }
    rounds += 1
  }

  private func run(
    _ system: any LoadedSystem, _ task: KeyTask, _ shape: Shape, seed: UInt64
  ) throws(BenchError) -> Run {
    let (counters, flushesBefore) = (try system.counters(task), flushes())
    let processor = try Counting.processorTime(system.processes)
    let plan = LoadPlan(shape: shape, amount: settings.amount, perSecond: settings.perSecond)
    let items = Items.random(SeededRandom(seed: seed), count: settings.keys)
    let load = try Load(system.endpoint, tls: tls, plan: plan).run(system.call(task), items)
    let used = try Counting.processorTime(system.processes) - processor
    let flushed = flushes() - flushesBefore
    if let fault = Counter.fault(counters, try system.counters(task), requests: load.requests)
      ?? (task == .write ? Counter.flushFault(rose: flushed, requests: load.requests, inFlight: shape.inFlight) : nil)
    {
      throw .failed("\(system.name): \(fault)")
    }
    return Run(load: load, processor: system.processes.isEmpty ? nil : used / Double(load.requests))
  }

  // MARK: figures

  var figures: [Figure] {
    settings.shapes.flatMap { shape in KeyTask.allCases.flatMap { figures($0, shape) } }
  }

  private func figures(_ task: KeyTask, _ shape: Shape) -> [Figure] {
    let rate = settings.perSecond.map { "/rate-\(Int($0))" } ?? ""
    let name = "\(prefix)/\(task.rawValue)/\(shape)\(rate)"
    func figure(_ suffix: String, _ unit: Figure.Unit, _ value: (Run) -> Double?) -> Figure? {
      let medians = systems.map { system in
        (runs[Place(task: task, shape: shape, system: system.name)] ?? []).compactMap(value).median
      }
      guard let ours = medians.first, ours > 0 else { return nil }
      let reference = systems.count > 1 ? Figure.Reference(name: systems[1].name, value: medians[1]) : nil
      return Figure(name: name + suffix, value: ours, unit: unit, reference: reference)
    }
    return [
      figure("", .perSecond) { $0.load.perSecond },
      figure("/latency", .seconds) { $0.load.latencies.mean },
      figure("/latency/p50", .seconds) { $0.load.latencies.percentile(0.5) },
      figure("/latency/p99", .seconds) { $0.load.latencies.percentile(0.99) },
      figure("/latency/p99.9", .seconds) { $0.load.latencies.percentile(0.999) },
      figure("/latency/max", .seconds) { $0.load.latencies.maximum },
      figure("/cpu", .seconds) { $0.processor },
    ].compactMap { $0 }
  }
}
