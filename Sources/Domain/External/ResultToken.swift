import Cryptography
import FoundationEssentials

/// What an external tool shows with its answer: an HMAC over tenant, run and call under a key derived from the master key. Nothing is
/// stored; the token carries what has to be looked up. `hxt_` and base64url of tenant (16) ‖ run (16) ‖ HMAC-SHA256 (32).
public enum ResultToken {
    private static let prefix = "hxt_"
    private static let purpose = "hsafa.result-token.v1"

    private static func code(_ tenant: TenantID, _ run: RunID, _ call: CallID, _ key: MasterKey) -> [UInt8] {
        HMACSHA256.authenticate(Array("\(purpose)\n\(tenant)\n\(run)\n\(call)".utf8), key: key.derived(for: purpose))
    }

    public static func make(_ tenant: TenantID, _ run: RunID, _ call: CallID, _ keys: MasterKeys) -> String {
        prefix + Base64URL.encode(bytes(tenant.uuid) + bytes(run.uuid) + code(tenant, run, call, keys.current))
    }

    /// nil unless one of the keys has made it for this very call.
    public static func verify(_ text: String, for call: CallID, _ keys: MasterKeys) -> (tenant: TenantID, run: RunID)? {
        guard text.hasPrefix(prefix), text.utf8.count <= 128, let raw = Base64URL.decode(String(text.dropFirst(prefix.count))),
            raw.count == 64
        else { return nil }
        let (tenant, run) = (TenantID(uuid(raw[0..<16])), RunID(uuid(raw[16..<32])))
        let shown = Array(raw[32...])
        let isGood = keys.all.reduce(false) { found, key in constantTimeEquals(code(tenant, run, call, key), shown) || found }
        return isGood ? (tenant, run) : nil
    }

    private static func bytes(_ uuid: UUID) -> [UInt8] { withUnsafeBytes(of: uuid.uuid) { Array($0) } }

    private static func uuid(_ bytes: ArraySlice<UInt8>) -> UUID {
        var uuid = UUID().uuid
        withUnsafeMutableBytes(of: &uuid) { $0.copyBytes(from: bytes) }
        return UUID(uuid: uuid)
    }
}
