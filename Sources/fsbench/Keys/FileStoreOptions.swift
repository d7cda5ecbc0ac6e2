import ArgumentParser
import FileStoreClient
import Foundation
import Transport

/// Which cluster of FileStore is driven.
struct FileStoreOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A node of FileStore, http(s)://HOST:PORT; its leader is driven (else the first of FS_ENDPOINTS).",
      valueName: "url"))
  var filestore: String?
  @Option(help: ArgumentHelp("The table, made when it is not there; rows stay in it.", valueName: "name"))
  var table = "fsbench_keys"
  @Option(help: ArgumentHelp("A file that holds a token (else FS_TOKEN).", valueName: "file")) var tokenFile: String?
  @Option(help: ArgumentHelp("Certificate of the CA of the nodes, for https:// (else FS_CA).", valueName: "file"))
  var ca: String?

  static let needsAuthority = BenchError.usage("https:// needs --ca, or FS_CA")

  private var environment: [String: String] { ProcessInfo.processInfo.environment }
  private var authority: String? { ca ?? environment["FS_CA"] }

  /// Nil without a CA: then nothing secure can be reached.
  func makeTLS() throws(BenchError) -> TLSContext? {
    guard let authority else { return nil }
    do throws(TLSRefusal) { return try TLSContext(client: .init(nodeAuthority: .file(authority))) } catch {
      throw .usage("\(error)")
    }
  }

  func place() throws(BenchError) -> FileStoreAddress {
    let first = filestore ?? environment["FS_ENDPOINTS"].map { String($0.prefix { $0 != "," }) } ?? ""
    guard let endpoint = Endpoint(first), let token = try readToken() else {
      throw .usage("name a cluster: --filestore and --token-file, or FS_ENDPOINTS and FS_TOKEN (with FS_CA)")
    }
    if endpoint.isSecure, authority == nil { throw Self.needsAuthority }
    return FileStoreAddress(endpoint: endpoint, authority: authority, token: token, table: table)
  }

  private func readToken() throws(BenchError) -> String? {
    guard let tokenFile else { return environment["FS_TOKEN"] }
    guard let text = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
      throw .usage("\(tokenFile) cannot be read")
    }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

/// How a cluster is reached. Each thread opens its own.
struct FileStoreAddress: Sendable {
  var endpoint: Endpoint
  var authority: String?
  var token: String
  var table: String

  func open(processes: [Int32] = [], as name: String = "FileStore") throws(BenchError) -> FileStoreSystem {
    try FileStoreSystem(
      endpoint, authority: authority, token: token, table: table, processes: processes, name: name)
  }
}
