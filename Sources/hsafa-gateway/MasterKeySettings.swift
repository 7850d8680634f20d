import Cryptography
import Domain
import FoundationEssentials

extension Settings {
    /// `MASTER_KEY` with `MASTER_KEY_OTHERS`, or `MASTER_KEY_FILE`: a key a line, the first one seals. nil: no secrets are kept.
    static func masterKeys(_ reader: SettingsReader) throws -> MasterKeys? {
        let inline = reader.text("master.key")
        guard let path = reader.text("master.key.file") else {
            guard let inline else { return nil }
            let others = (reader.text("master.key.others") ?? "").split(separator: ",").map(String.init)
            return try masterKeys([("MASTER_KEY", inline)] + others.map { ("MASTER_KEY_OTHERS", $0) })
        }
        guard inline == nil, reader.text("master.key.others") == nil else {
            throw SettingsError(description: "MASTER_KEY_FILE holds all keys; unset MASTER_KEY and MASTER_KEY_OTHERS, or the file")
        }
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            throw SettingsError(description: "MASTER_KEY_FILE is \(path), which cannot be read; let the gateway's user read it")
        }
        let lines = String(decoding: data.prefix(64 * 1024), as: UTF8.self).split(whereSeparator: \.isNewline)
            .map { $0.filter { !$0.isWhitespace } }.filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !lines.isEmpty else { throw SettingsError(description: "MASTER_KEY_FILE is \(path), which holds no key") }
        return try masterKeys(lines.map { ("MASTER_KEY_FILE", $0) })
    }

    private static func masterKeys(_ texts: [(name: String, text: String)]) throws -> MasterKeys? {
        var keys: [MasterKey] = []
        for (name, text) in texts {
            guard let key = Base64.decode(text.filter { $0 != " " }).flatMap({ MasterKey($0) }) else {
                throw SettingsError(
                    description: "\(name) must be 32 bytes in base64 for each key; make one with `openssl rand -base64 32`")
            }
            if !keys.contains(where: { $0.id == key.id }) { keys.append(key) }
        }
        return keys.first.map { MasterKeys(current: $0, others: Array(keys.dropFirst())) }
    }
}
