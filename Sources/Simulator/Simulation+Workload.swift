import Checkers
import Node
import Primitives

// What clients ask, and how answers read.

extension Simulation {
  /// A random request, as the API takes it, and what it means for each key.
  func drawOperation(_ index: Int) -> (ClientOperation, [(key: Int, call: Call)]) {
    let key = clients[index].chooseKey(of: options.keys)
    let path = Workload.path(key)
    if clients[index].random.chance(clients[index].habits.moreReads, outOf: 100) {
      return (.get(path, columns: nil), [(key, .get)])
    }
    switch clients[index].random.below(100) {
    case 0..<40: return (.get(path, columns: nil), [(key, .get)])
    case 40..<68:
      let (value, body) = drawRow(index)
      return (.put(path, body: body, .none), [(key, .put(value: value))])
    case 68..<78:
      let (value, body) = drawRow(index)
      guard let version = clients[index].versions[key] else {
        return (.put(path, body: body, .ifNoneMatch), [(key, .put(value: value, .ifAbsent))])
      }
      return (.put(path, body: body, .ifMatch(version)), [(key, .put(value: value, .ifVersion(version)))])
    case 78..<83:
      let (value, body) = drawRow(index)
      return (.patch(path, body: body, .none), [(key, .put(value: value, .ifPresent))])
    case 83..<91: return (.delete(path, .none), [(key, .delete())])
    case 91..<96: return drawBatch(index, first: key)
    case 96..<98 where !moments.isEmpty:
      let moment = moments[Int(clients[index].random.below(UInt64(moments.count)))]
      clients[index].snapshot = moment.snapshot
      return (.snapshot(moment.snapshot, .scan(ScanQuery(table: Workload.table))), [])
    default: return (.scan(ScanQuery(table: Workload.table)), (0..<options.keys).map { ($0, .get) })
    }
  }

  private func drawRow(_ index: Int) -> (UInt64, [UInt8]) {
    nextValue += 1
    // Mostly small; sometimes long enough for overflow pages.
    let padding =
      switch clients[index].random.below(40) {
      case 0: 20_000 + Int(clients[index].random.below(60_000))
      case 1..<10: Int(clients[index].random.below(2000))
      default: 0
      }
    return (nextValue, Workload.row(nextValue, padding: padding))
  }

  private func drawBatch(_ index: Int, first: Int) -> (ClientOperation, [(key: Int, call: Call)]) {
    let second = (first + 1 + Int(clients[index].random.below(UInt64(options.keys - 1)))) % options.keys
    var calls: [(key: Int, call: Call)] = []
    var texts: [String] = []
    for key in [first, second] {
      nextValue += 1
      calls.append((key, .put(value: nextValue)))
      texts.append(
        "{\"op\":\"put\",\"table\":\"\(Workload.table)\",\"key\":\"\(Workload.keyName(key))\",\"row\":{\"v\":\(nextValue)}}"
      )
    }
    return (.batch(body: Array("{\"operations\":[\(texts.joined(separator: ","))]}".utf8)), calls)
  }

  /// What a reply says about one key's share of the request.
  func outcomeOf(_ part: Client.Part, position: Int, of count: Int, _ reply: NodeReply) -> Outcome {
    if let problem = reply.problem { return outcomeOf(part, problem) }
    switch part.call {
    case .get: return .ok(count == 1 ? readAnswer(reply) : scanAnswer(part.key, reply))
    case .delete: return .ok(.deleted)
    case .put:
      if count > 1 { return .ok(batchAnswer(position, reply)) }
      if case .put(_, .ifPresent) = part.call { return .ok(.replaced(version: reply.etag)) }
      return .ok(reply.status == 201 ? .created(version: reply.etag) : .replaced(version: reply.etag))
    }
  }

  private func outcomeOf(_ part: Client.Part, _ problem: Problem) -> Outcome {
    switch problem.code {
    case .rowNotFound: return .ok(.notFound)
    case .conditionFailed:
      return .ok(.conditionFailed(problem.currentETag.map { .version($0) } ?? .absent))
    case .tableNotFound:
      // Only before the table was created: nothing is stored, nothing was done.
      return .failed
    case .internalError, .invalidJSON, .invalidKey, .invalidRow, .invalidArgument, .typeMismatch:
      fail("valid requests are understood", "\(problem.code.name): \(problem.detail)")
      return .failed
    default:
      if problem.retry == .unknown, part.call != .get { return .unknown }
      return .failed
    }
  }

  private func readAnswer(_ reply: NodeReply) -> Answer {
    guard let value = Workload.value(in: reply.body[...]) else {
      fail("rows read as written", String(decoding: reply.body.prefix(200), as: UTF8.self))
      return .notFound
    }
    return .found(value: value, version: reply.etag)
  }

  private func scanAnswer(_ key: Int, _ reply: NodeReply) -> Answer {
    let mark = Array("\"k\":\"\(Workload.keyName(key))\"".utf8)
    guard let at = Workload.firstRange(of: mark, in: reply.body[...]),
      let value = Workload.value(in: reply.body[at...])
    else { return .notFound }
    return .found(value: value, version: nil)
  }

  /// `{"results":[{"status":201,"etag":"…"},…]}`.
  private func batchAnswer(_ position: Int, _ reply: NodeReply) -> Answer {
    let mark = Array("\"status\":".utf8)
    var rest = reply.body[...]
    for _ in 0...position {
      guard let at = Workload.firstRange(of: mark, in: rest) else {
        fail("batches are answered", String(decoding: reply.body.prefix(200), as: UTF8.self))
        return .notFound
      }
      rest = rest[(at + mark.count)...]
    }
    let created = rest.starts(with: Array("201".utf8))
    return created ? .created(version: nil) : .replaced(version: nil)
  }
}
