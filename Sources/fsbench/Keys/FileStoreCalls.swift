import FileStoreClient
import Transport

/// Where FileStore is, and how a request begins.
struct FileStorePlace {
  let endpoint: Endpoint
  let table: String
  private let authorization: String

  init(endpoint: Endpoint, token: String, table: String) {
    self.endpoint = endpoint
    self.table = table
    authorization = "Bearer \(token)"
  }

  /// The token is sent, and checked, each time.
  func begin(_ head: HeaderBlock, _ method: HTTPMethod, _ path: UnsafeRawBufferPointer) {
    head.request(method, scheme: endpoint.isSecure ? "https" : "http", authority: endpoint.authority, path: path)
    head.add("authorization", authorization)
  }

  /// The path of a key's row.
  var rowPath: KeyTemplate { KeyTemplate { "/v1/tables/\(table)/rows/\($0)" } }
}

extension ResponseView {
  /// An answer that is no success, in words.
  fileprivate func fault() -> WrongAnswer {
    WrongAnswer("status \(status): \(String(decoding: body.prefix(300), as: UTF8.self))")
  }
}

/// `PUT /v1/tables/T/rows/KEY`.
final class FileStorePut: Call {
  private let place: FileStorePlace
  private let path: KeyTemplate
  private let body = KeyTemplate { #"{"value":"\#(Key.value($0))"}"# }

  init(_ place: FileStorePlace) {
    self.place = place
    path = place.rowPath
  }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, .put, path.bytes(for: item))
    head.add("content-type", "application/json")
    return body.bytes(for: item)
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    guard answer.status == 200 || answer.status == 201 else { throw answer.fault() }
  }
}

/// A linearizable `GET /v1/tables/T/rows/KEY`, whose answer has to be that row, byte for byte.
final class FileStoreGet: Call {
  private let place: FileStorePlace
  private let path: KeyTemplate
  private let row = KeyTemplate { #"{"key":"\#($0)","value":"\#(Key.value($0))"}"# }

  init(_ place: FileStorePlace) {
    self.place = place
    path = place.rowPath
  }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, .get, path.bytes(for: item))
    return UnsafeRawBufferPointer(start: nil, count: 0)
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    guard answer.status == 200 else { throw answer.fault() }
    guard sameBytes(answer.body, row.bytes(for: item)) else {
      throw WrongAnswer("another row: \(String(decoding: answer.body.prefix(300), as: UTF8.self))")
    }
  }
}

/// `POST /v1/batch` with a group of rows.
final class FileStoreBatch: Call {
  static let rowsMax: UInt64 = 500

  private let place: FileStorePlace
  private let groups: KeyGroups
  private let operation: KeyTemplate
  private let body = OutputBuffer()

  init(_ place: FileStorePlace, _ groups: KeyGroups) {
    self.place = place
    self.groups = groups
    operation = KeyTemplate {
      #"{"op":"put","table":"\#(place.table)","key":"\#($0)","row":{"value":"\#(Key.value($0))"}}"#
    }
  }

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    place.begin(head, .post, ("/v1/batch" as StaticString).bytes)
    head.add("content-type", "application/json")
    let keys = groups.range(item)
    body.removeAll()
    body.append("{\"operations\":[")
    for key in keys {
      if key > keys.lowerBound { body.append(",") }
      body.append(operation.bytes(for: key))
    }
    body.append("]}")
    return body.bytes
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    guard answer.status == 200 else { throw answer.fault() }
  }
}
