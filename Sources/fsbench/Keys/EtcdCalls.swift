import FileStoreClient
import Transport

/// Where etcd is, and how a call begins.
struct EtcdPlace {
  let endpoint: Endpoint

  /// `POST /etcdserverpb.KV/METHOD`.
  func begin(_ head: HeaderBlock, _ path: StaticString) {
    let scheme: StaticString = endpoint.isSecure ? "https" : "http"
    head.request(.post, scheme: scheme, authority: endpoint.authority, path: path.bytes)
    head.add("content-type", "application/grpc")
    head.add("te", "trailers")
  }
}

/// Reads an answer's message to its end.
private func fields(
  _ message: UnsafeRawBufferPointer, _ body: (ProtobufReader.Field) throws(WrongAnswer) -> Void
) throws(WrongAnswer) {
  var reader = ProtobufReader(message)
  while true {
    let field: ProtobufReader.Field?
    do throws(ProtobufReader.Malformed) { field = try reader.next() } catch {
      throw WrongAnswer("the answer is no protobuf message")
    }
    guard let field else { return }
    try body(field)
  }
}

/// `KV/Put`. A PutResponse has a header (field 1) with the revision (3).
final class EtcdPut: Call {
  private let place: EtcdPlace
  private let body = KeyTemplate(bytes: { GRPC.frame(EtcdMessage.put($0, Key.value($0))) })

  init(_ place: EtcdPlace) { self.place = place }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, "/etcdserverpb.KV/Put")
    return body.bytes(for: item)
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    var revision: UInt64 = 0
    try fields(try GRPC.message(of: answer)) { field throws(WrongAnswer) in
      guard field.number == 1, let header = field.bytes else { return }
      try fields(header) { if $0.number == 3 { revision = $0.integer ?? 0 } }
    }
    if revision == 0 { throw WrongAnswer("a put without a revision") }
  }
}

/// A linearizable `KV/Range` of one key. A RangeResponse has the key-values found (field 2): key 1, value 5. It has to
/// be that key, with its value.
final class EtcdRange: Call {
  private let place: EtcdPlace
  private let body = KeyTemplate(bytes: { GRPC.frame(EtcdMessage.range($0)) })
  private let key = KeyTemplate { $0 }
  private let value = KeyTemplate { Key.value($0) }

  init(_ place: EtcdPlace) { self.place = place }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, "/etcdserverpb.KV/Range")
    return body.bytes(for: item)
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    var found = 0
    try fields(try GRPC.message(of: answer)) { field throws(WrongAnswer) in
      guard field.number == 2, let keyValue = field.bytes else { return }
      found += 1
      var right = 0
      try fields(keyValue) { part in
        if part.number == 1, part.bytes.map({ sameBytes($0, key.bytes(for: item)) }) == true { right += 1 }
        if part.number == 5, part.bytes.map({ sameBytes($0, value.bytes(for: item)) }) == true { right += 1 }
      }
      guard right == 2 else { throw WrongAnswer("another key or value than \(Key.text(item))'s") }
    }
    guard found == 1 else { throw WrongAnswer("\(found) values of the key \(Key.text(item))") }
  }
}

/// `KV/Txn` with a group of puts. etcd takes at most 128 in one (--max-txn-ops). A TxnResponse has succeeded (field 2)
/// and a response for each put (3).
final class EtcdTxn: Call {
  static let putsMax: UInt64 = 128

  private let place: EtcdPlace
  private let groups: KeyGroups
  private let operation = KeyTemplate(bytes: { EtcdMessage.operation($0, Key.value($0)) })
  private let body = OutputBuffer()

  init(_ place: EtcdPlace, _ groups: KeyGroups) {
    self.place = place
    self.groups = groups
  }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, "/etcdserverpb.KV/Txn")
    let keys = groups.range(item)
    body.removeAll()
    body.append(GRPC.prefix(keys.count * operation.bytes(for: 0).count))
    for key in keys { body.append(operation.bytes(for: key)) }
    return body.bytes
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    var (succeeded, puts) = (false, 0)
    try fields(try GRPC.message(of: answer)) { field in
      if field.number == 2 { succeeded = field.integer == 1 }
      if field.number == 3 { puts += 1 }
    }
    guard succeeded, puts == groups.range(item).count else {
      throw WrongAnswer("a transaction of \(groups.range(item).count) puts made \(puts)")
    }
  }
}

/// Counts all keys of a run. A RangeResponse has the count in field 4.
final class EtcdCount: Call {
  private let place: EtcdPlace
  private let least: UInt64
  private let body = OutputBuffer()

  init(_ place: EtcdPlace, atLeast least: UInt64) {
    self.place = place
    self.least = least
    body.append(GRPC.frame(EtcdMessage.count(prefix: Key.prefix)))
  }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, "/etcdserverpb.KV/Range")
    return body.bytes
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    var count: UInt64 = 0
    try fields(try GRPC.message(of: answer)) { if $0.number == 4 { count = $0.integer ?? 0 } }
    guard count >= least else { throw WrongAnswer("etcd holds \(count) of \(least) keys") }
  }
}
