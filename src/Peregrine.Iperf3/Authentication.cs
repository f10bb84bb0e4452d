// Credentials over the control connection: "user: NAME\npwd:  PASSWORD\nts:   SECONDS" under the server's public key, in base64; and the
// server's file of names and hashes. The form was read off the wire between two iperf3 3.12, which pads by PKCS #1 v1.5; newer ones use OAEP.
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Peregrine.Iperf3;

internal static class Authentication
{
    private const int TokenLengthMax = 4 * 1024;

    /// <summary>The client's token.</summary>
    internal static string Seal(string publicKeyPath, string user, string password, DateTimeOffset now)
    {
        using var key = Read(publicKeyPath, Iperf3Error.ClientAuth);
        var text = string.Create(CultureInfo.InvariantCulture, $"user: {user}\npwd:  {password}\nts:   {now.ToUnixTimeSeconds()}");
        try
        {
            return Convert.ToBase64String(key.Encrypt(Encoding.UTF8.GetBytes(text), RSAEncryptionPadding.Pkcs1));
        }
        catch (CryptographicException)
        {
            throw new Iperf3Exception(Iperf3Error.ClientAuth);
        }
    }

    /// <summary>Whether a token opens with the server's key, names a user of its file with the right password, and is fresh.</summary>
    internal static bool IsGood(string token, RSA privateKey, IReadOnlyDictionary<string, string> users, DateTimeOffset now, int skewSeconds)
    {
        if (token.Length > TokenLengthMax) return false;
        var sealedBytes = new byte[token.Length];
        if (!Convert.TryFromBase64String(token, sealedBytes, out var length)) return false;
        foreach (var padding in (RSAEncryptionPadding[])[RSAEncryptionPadding.OaepSHA1, RSAEncryptionPadding.Pkcs1])
        {
            if (TryOpen(privateKey, sealedBytes.AsSpan(0, length), padding) is { } text && IsGood(text, users, now, skewSeconds)) return true;
        }
        return false;
    }

    /// <summary>Reads a key in PEM.</summary>
    internal static RSA Read(string path, Iperf3Error onError)
    {
        var key = RSA.Create();
        try
        {
            key.ImportFromPem(File.ReadAllText(path));
            return key;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or CryptographicException)
        {
            key.Dispose();
            throw new Iperf3Exception(onError);
        }
    }

    /// <summary>Reads the server's file: a line "name,SHA-256 of {name}password" each, comments after #.</summary>
    internal static IReadOnlyDictionary<string, string> ReadUsers(string path)
    {
        try
        {
            var users = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var line in File.ReadLines(path).Select(static line => line.Trim()).Where(static line => line.Length > 0 && line[0] != '#'))
            {
                var parts = line.Split(',', 2);
                if (parts.Length == 2) users[parts[0].Trim()] = parts[1].Trim();
            }
            return users;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Iperf3Exception(Iperf3Error.ServerAuth);
        }
    }

    private static string? TryOpen(RSA key, ReadOnlySpan<byte> bytes, RSAEncryptionPadding padding)
    {
        try
        {
            return Encoding.UTF8.GetString(key.Decrypt(bytes, padding));
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    private static bool IsGood(string text, IReadOnlyDictionary<string, string> users, DateTimeOffset now, int skewSeconds)
    {
        var lines = text.Split('\n');
        if (lines.Length != 3 || !lines[0].StartsWith("user: ", StringComparison.Ordinal) || !lines[1].StartsWith("pwd:  ", StringComparison.Ordinal)) return false;
        if (!lines[2].StartsWith("ts:   ", StringComparison.Ordinal)) return false;
        var (user, password) = (lines[0][6..], lines[1][6..]);
        if (!long.TryParse(lines[2].AsSpan(6), CultureInfo.InvariantCulture, out var at)) return false;
        // A distance as a decimal: the peer's number may be anything.
        if (Math.Abs((decimal)at - now.ToUnixTimeSeconds()) > skewSeconds || !users.TryGetValue(user, out var expected)) return false;
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{{{user}}}{password}")));
        return CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(hash), Encoding.ASCII.GetBytes(expected.ToLowerInvariant()));
    }
}
