import ArgumentParser
import FileStoreClient
import Foundation
import Transport

/// `fscluster token --user NAME`: a token for a client; `--revoke SERIAL` makes one invalid.
struct Token: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a client token, or revoke one.",
    discussion:
      "Making one needs the cluster's directory (DIR/ca/clients.key signs it); revoking one needs a running node.")

  @Option(help: ArgumentHelp("Whom the token is for.", valueName: "name")) var user: String?
  @Option(help: ArgumentHelp("How long it holds: 45s, 90m, 12h or 30d.", valueName: "time")) var expires = "30d"
  @Option(help: ArgumentHelp("Revoke the token of this serial (or the token itself).", valueName: "serial"))
  var revoke: String?
  @Flag(help: "Print the result as JSON.") var json = false
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    guard (user == nil) != (revoke == nil) else { throw ValidationError("Give either --user NAME or --revoke SERIAL.") }
    if let user, user.isEmpty || user.utf8.count > 64 { throw ValidationError("A user's name has 1 to 64 bytes.") }
    guard Lifetime.seconds(expires) != nil else {
      throw ValidationError("`\(expires)` is no length of time: write 45s, 90m, 12h or 30d, at most 3650d.")
    }
  }

  func run() throws(CommandError) {
    if let user { try issue(user) }
    if let revoke { try revokeToken(revoke) }
  }

  private struct Issued: Codable {
    var token: String
    var user: String
    var serial: String
    var expires: String
  }

  private func issue(_ user: String) throws(CommandError) {
    let directory = try ClusterDirectory.named(connection.place.directory)
    let seconds = Lifetime.seconds(expires) ?? 0
    let (token, claims) = try directory.issueToken(user: user, seconds: seconds)
    guard json else { return Console.out(token) }
    let date = Date(timeIntervalSince1970: Double(claims.expires))
    Console.out(
      Console.json(
        Issued(
          token: token, user: user, serial: claims.serial, expires: ISO8601DateFormatter().string(from: date))))
  }

  private struct Revocation: Codable {
    var kind = "token"
    var serial: String
  }

  private func revokeToken(_ text: String) throws(CommandError) {
    let serial = text.hasPrefix("fst1.") ? try Token.serial(of: text) : text
    let cluster = try Cluster(connection.clientConfiguration())
    let order = Revocation(serial: serial)
    var request = ClientRequest(.post, "/v1/revocations", body: Array(Console.json(order).utf8), mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    _ = try cluster.send(request)
    Console.out(json ? Console.json(order) : "The token with serial \(serial) is revoked.")
  }

  /// The serial that a token says of itself.
  static func serial(of token: String) throws(CommandError) -> String {
    do throws(TokenFailure) { return try TokenClaims(unverified: token).serial } catch {
      throw .usage("that is no token", next: "Give --revoke the serial, or the whole token (fst1.…).")
    }
  }
}

extension ClusterDirectory {
  /// Signs a token with the key of the clients' CA.
  func issueToken(user: String, seconds: UInt64) throws(CommandError) -> (String, TokenClaims) {
    let claims = TokenClaims(user: user, cluster: file.id, expires: UInt64(Date().timeIntervalSince1970) + seconds)
    do throws(TLSRefusal) {
      return (try TokenAuthority(key: .file(clientAuthorityKey)).issue(claims), claims)
    } catch {
      throw .usage("the token cannot be signed: \(error)", next: "Only the owner of \(path)/ca can make tokens.")
    }
  }
}
