import FileStoreClient
import Primitives
import Synchronization

/// Overwrites a fixed set of keys, many requests at once, as fast as it can or at a given rate.
final class Overwriter: Sendable {
  static let keys: UInt64 = 50_000
  static let inFlightMax = 64

  struct Result: Sendable {
    var acknowledged = 0
    var refused = 0
    var problem: String?
  }

  private let cluster: LocalCluster
  private let number: Int
  private let stopping = Atomic<Bool>(false)

  init(cluster: LocalCluster, number: Int) {
    self.cluster = cluster
    self.number = number
  }

  func stop() { stopping.store(true, ordering: .relaxed) }

  /// Writes every key once.
  func fill() throws(ChaosError) -> Result { try run(rate: nil, count: Int(Self.keys)) { UInt64($0) } }

  /// Writes random keys until it is stopped, at most `rate` a second.
  func overwrite(rate: Double?, seed: UInt64) throws(ChaosError) -> Result {
    var random = SeededRandom(seed: seed &+ UInt64(number))
    return try run(rate: rate, count: .max) { _ in random.below(Self.keys) }
  }

  /// The client belongs to this thread, and with it all that its completions touch.
  private final class Tally {
    var inFlight = 0
    var result = Result()
  }

  private func run(rate: Double?, count: Int, _ key: (Int) -> UInt64) throws(ChaosError) -> Result {
    let client = try cluster.client(first: number)
    let tally = Tally()
    let begun = Clock.now()
    var sent = 0
    while !stopping.load(ordering: .relaxed), sent < count || tally.inFlight > 0 {
      let due = rate.map { Int((Clock.now() - begun).seconds * $0) } ?? .max
      while sent < min(count, due), tally.inFlight < Self.inFlightMax {
        sent += 1
        submit("soak-\(key(sent - 1))", UInt64(sent), client, tally)
      }
      do throws(ClientError) { try client.turn() } catch { throw ChaosError(message: "the client: \(error)") }
    }
    return tally.result
  }

  private func submit(_ key: String, _ value: UInt64, _ client: Client, _ tally: Tally) {
    tally.inFlight += 1
    client.submit(ChaosTable.put(key, value, mayRepeat: true)) { result in
      tally.inFlight -= 1
      if case .answered(let response) = Ending(result), response.isSuccess {
        tally.result.acknowledged += 1
      } else {
        tally.result.refused += 1
        tally.result.problem = "\(Ending(result))"
      }
    }
  }
}
