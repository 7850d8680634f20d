import Cryptography
import HsafaClient
import JSON

/// The folder where a device keeps who it is: `device.key` (its private key, mode 0600), `device.json`, and `outcomes.jsonl`.
struct DeviceState {
    struct Record {
        var deviceId: String
        var url: String
        var audience: String
        var deviceKey: String
    }

    let directory: String

    private var keyPath: String { "\(directory)/device.key" }
    private var recordPath: String { "\(directory)/device.json" }
    var outcomesPath: String { "\(directory)/outcomes.jsonl" }

    /// The key that exists, so that enrolling again after a lost answer is the same device; else a new one.
    func loadOrMakeKey() throws -> DeviceKey {
        if let key = try loadKey() { return key }
        try PrivateFile.makeDirectories(directory, mode: 0o700)
        let key: DeviceKey
        do { key = try DeviceKey() } catch { throw Failure("No key can be made: \(error.detail)") }
        try PrivateFile.replace(keyPath, with: Array((Base64URL.encode(key.privateKey.rawRepresentation) + "\n").utf8), mode: 0o600)
        return key
    }

    func loadKey() throws -> DeviceKey? {
        guard let bytes = try PrivateFile.readIfPresent(keyPath, maxBytes: 4096) else { return nil }
        let text = String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard let raw = Base64URL.decode(text), let key = try? DeviceKey(rawRepresentation: raw) else {
            throw Failure("\(keyPath) holds no device key.")
        }
        return key
    }

    func loadRecord() throws -> Record? {
        guard let bytes = try PrivateFile.readIfPresent(recordPath, maxBytes: 64 * 1024) else { return nil }
        guard let root = (try? JSONDocument(parsing: bytes))?.root, let deviceId = root["deviceId"]?.string,
            let url = root["url"]?.string, let audience = root["audience"]?.string, let deviceKey = root["deviceKey"]?.string
        else { throw Failure("\(recordPath) is damaged: enrol again.") }
        return Record(deviceId: deviceId, url: url, audience: audience, deviceKey: deviceKey)
    }

    func save(_ record: Record) throws {
        let json = RawJSON.object { writer in
            writer.field("deviceId", string: record.deviceId)
            writer.field("url", string: record.url)
            writer.field("audience", string: record.audience)
            writer.field("deviceKey", string: record.deviceKey)
        }
        try PrivateFile.replace(recordPath, with: Array(PrettyJSON.text(try json.document().root).utf8), mode: 0o600)
    }
}
