// MD5 signatures (RFC 2385) on the script's side of the wire, "md5 valid" in packets, and the lines for setkey(8) that say the secrets of the stack's.
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal static partial class Signatures
{
    /// <summary>How scripts write an option whose code is to be made, or to be checked.</summary>
    internal const string Valid = "md5 valid";

    /// <summary>Writes the code into a segment's option, which is there with zeros.</summary>
    internal static void Sign(ScriptSetup setup, Span<byte> segment)
    {
        var at = OffsetOf(segment);
        Compute(setup, setup.Remote, setup.Local, segment).CopyTo(segment[at..]);
    }

    /// <summary>Whether a segment of the stack's has the right code.</summary>
    internal static bool IsGood(ScriptSetup setup, ReadOnlySpan<byte> segment) =>
        OffsetOf(segment) is > 0 and var at && Compute(setup, setup.Local, setup.Remote, segment).AsSpan().SequenceEqual(segment.Slice(at, Md5Length));

    private const int Md5Length = 16;

    private static int OffsetOf(ReadOnlySpan<byte> segment)
    {
        var end = (segment[12] >> 4) * 4;
        for (var at = 20; at < end && segment[at] != 0;)
        {
            if (segment[at] == TcpOptionKind.Md5) return at + 2;
            at += segment[at] == 1 ? 1 : Math.Max(2, (int)segment[at + 1]);
        }
        return 0;
    }

    // RFC 2385 §2.0: the pseudo-header, the header without options and with a checksum of zero, the data, the secret.
    private static byte[] Compute(ScriptSetup setup, in IpAddress from, in IpAddress to, ReadOnlySpan<byte> segment)
    {
        var secret = setup.Md5Secret ?? throw new NotApplicableException($"'{Signatures.Valid}' without --tcp_md5_secret");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        Span<byte> pseudo = stackalloc byte[40];
        pseudo.Clear();
        var each = from.IsIPv4 ? 4 : 16;
        from.WriteTo(pseudo);
        to.WriteTo(pseudo[each..]);
        var rest = pseudo[(2 * each)..(each == 4 ? 12 : 40)];
        // RFC 9293 §3.1 and RFC 8200 §8.1.
        rest[each == 4 ? 1 : 7] = IpProtocol.Tcp;
        if (each == 4) BinaryPrimitives.WriteUInt16BigEndian(rest[2..], (ushort)segment.Length);
        else BinaryPrimitives.WriteUInt32BigEndian(rest, (uint)segment.Length);
        hash.AppendData(pseudo[..(each == 4 ? 12 : 40)]);
        Span<byte> header = stackalloc byte[20];
        segment[..20].CopyTo(header);
        header[16..18].Clear();
        hash.AppendData(header);
        hash.AppendData(segment[((segment[12] >> 4) * 4)..]);
        hash.AppendData(Encoding.UTF8.GetBytes(secret));
        return hash.GetHashAndReset();
    }

    /// <summary>Whether a shell line adds security associations.</summary>
    internal static bool IsSetkey(string command) => command.Contains("setkey -c", StringComparison.Ordinal);

    /// <summary>The secrets that a line has for what a host sends; null for none.</summary>
    internal static TcpKeySet? Read(string command, in IpAddress local)
    {
        var keys = new List<TcpKey>();
        foreach (Match match in Association().Matches(command))
        {
            if (!IpAddress.TryParse(match.Groups[1].Value, out var from) || !IpAddress.TryParse(match.Groups[2].Value, out var to))
                throw new NotApplicableException($"the shell line '{match.Value}' has an address that is none");
            if (from == local) keys.Add(new TcpKey(TcpKeyAlgorithm.Md5, Encoding.UTF8.GetBytes(match.Groups[3].Value)) { Peer = new IpPrefix(to, to.IsIPv4 ? 32 : 128) });
        }
        return keys.Count == 0 ? null : new TcpKeySet([.. keys]);
    }

    [GeneratedRegex("""add\s+(\S+)\s+(\S+)\s+tcp\s+\S+\s+-A\s+tcp-md5\s+"([^"]+)"\s*;""")]
    private static partial Regex Association();
}
