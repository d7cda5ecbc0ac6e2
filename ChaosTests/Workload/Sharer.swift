import Checkers
import FileStoreClient
import Primitives

/// One of several clients that read and change the same few keys: puts, compare-and-set, deletes, gets. Writes are never
/// repeated when they may have been executed: a put that takes effect twice is not one operation of a register.
///
/// The keys change every few seconds. The histories stay short, and each begins without a row.
struct Sharer: Sendable {
  let cluster: LocalCluster
  let scenario: String
  let number: Int
  let begun: Instant
  let seed: UInt64

  private static let keysAtOnce: UInt64 = 4
  private static let generation = Nanoseconds.seconds(4)
  /// Between two operations, so that a history can be searched.
  private static let pause = Nanoseconds.milliseconds(2)

  func run(_ crew: Crew) -> Log {
    var log = Log()
    do throws(ChaosError) {
      let client = try cluster.client(first: number)
      var session = SharerSession(client: client, number: UInt32(number), crew: crew)
      var random = SeededRandom(seed: seed &+ UInt64(number) &* 7919)
      while !crew.isStopping {
        session.perform(key(&random), &random)
        Clock.sleep(Self.pause)
      }
      log = session.log
    } catch { log.surprises.append(error.message) }
    return log
  }

  private func key(_ random: inout SeededRandom) -> String {
    let generation = (Clock.now() - begun).rawValue / Self.generation.rawValue
    return "\(scenario)-hot-\(generation)-\(random.below(Self.keysAtOnce))"
  }
}

/// A client's operations on shared keys, and what it saw.
struct SharerSession {
  let client: Client
  let number: UInt32
  let crew: Crew?
  private(set) var log = Log()
  private var sequence: UInt64 = 0
  /// The last version of a key that this client was told, for compare-and-set.
  private var seen: (key: String, version: Timestamp)?

  init(client: Client, number: UInt32, crew: Crew?) {
    self.client = client
    self.number = number
    self.crew = crew
  }

  mutating func perform(_ key: String, _ random: inout SeededRandom) {
    sequence += 1
    let value = UInt64(number + 1) << 32 | sequence
    switch random.below(20) {
    case 0..<8: put(key, value, .always)
    case 8..<10: put(key, value, .ifAbsent)
    case 10..<12: put(key, value, seenVersion(of: key).map(Condition.ifVersion) ?? .ifAbsent)
    case 12: delete(key)
    default: get(key)
    }
  }

  private func seenVersion(of key: String) -> Timestamp? { seen?.key == key ? seen?.version : nil }

  private mutating func put(_ key: String, _ value: UInt64, _ condition: Condition) {
    var request = ChaosTable.put(key, value, mayRepeat: false)
    switch condition {
    case .ifAbsent: request.headers.append(Header("if-none-match", "*"))
    case .ifVersion(let version): request.headers.append(Header("if-match", "\"\(version)\""))
    case .always, .ifPresent: break
    }
    send(request, key, .put(value: value, condition)) { response in
      switch response.status {
      case 201: .created(version: response.version)
      case 200: .replaced(version: response.version)
      case 412: .conditionFailed(response.version.map(Witness.version) ?? .absent)
      default: nil
      }
    }
  }

  private mutating func delete(_ key: String) {
    send(ClientRequest(.delete, ChaosTable.path(key), mayRepeat: false), key, .delete()) { response in
      switch response.status {
      case 204: .deleted
      case 404: .notFound
      default: nil
      }
    }
  }

  mutating func get(_ key: String) {
    send(ClientRequest(.get, ChaosTable.path(key)), key, .get) { response in
      switch response.status {
      case 200: RowText.value(response.body).map { .found(value: $0, version: response.version) }
      case 404: .notFound
      default: nil
      }
    }
  }

  private mutating func send(
    _ request: ClientRequest, _ key: String, _ call: Call, _ answer: (ClientResponse) -> Answer?
  ) {
    let begun = Clock.now()
    let ending = Ending(Result { () throws(ClientError) in try client.send(request) })
    let ended = Clock.now()
    var outcome = Outcome.unknown
    switch ending {
    case .answered(let response):
      if let version = response.version { seen = (key, version) }
      if let answer = answer(response) {
        outcome = .ok(answer)
      } else {
        log.surprises.append("\(call) was answered with \(response.status)")
      }
      if response.isSuccess, call != .get {
        log.acknowledged.append(Span(begun: begun, ended: ended))
        crew?.countAcknowledgement()
      }
    case .notExecuted(let reason):
      outcome = .failed
      if call != .get { log.trouble("not executed: \(reason)") }
    case .unknown(let reason):
      if call != .get { log.trouble("unknown: \(reason)") }
    case .surprising(let reason): log.surprises.append(reason)
    }
    log.operations.append(
      Operation(
        id: log.operations.count, client: number, key: key, call: call, invoked: begun.nanoseconds,
        returned: ended.nanoseconds, outcome: outcome))
  }
}
