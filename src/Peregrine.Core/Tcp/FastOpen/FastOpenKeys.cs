// A server's cookies (RFC 7413 §4.1.2): a keyed hash over both addresses, so that no state is kept of whom they were given to. Of two keys
// the first makes cookies and both accept them, so that keys can be changed while clients hold cookies of the old one.
using System.Buffers.Binary;
using System.Security.Cryptography;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.FastOpen;

/// <summary>What a cookie is worth.</summary>
internal enum FastOpenCookieAge
{
    /// <summary>Not ours.</summary>
    Invalid,

    /// <summary>Of the key before: good, and to be replaced.</summary>
    Previous,

    /// <summary>Of the key that is in force.</summary>
    Current,
}

/// <summary>The keys of the cookies of a server. Cookies are 8 bytes: SipHash-2-4 of the client's and the server's address.</summary>
/// <param name="Primary">Makes cookies.</param>
/// <param name="Previous">Is accepted as well, or null.</param>
public sealed record FastOpenKeys(UInt128 Primary, UInt128? Previous = null)
{
    private const int CookieLength = 8;

    /// <summary>Says nothing: keys do not belong into logs.</summary>
    public override string ToString() => nameof(FastOpenKeys);

    /// <summary>The cookie that a client is given for a server's address: 8 bytes.</summary>
    public byte[] CookieOf(IpAddress client, IpAddress server) => Make(client, server).WriteTo(new byte[FastOpenCookie.LengthMax]).ToArray();

    internal FastOpenCookie Make(in IpAddress client, in IpAddress server) => Make(Primary, client, server);

    internal FastOpenCookieAge Check(ReadOnlySpan<byte> cookie, in IpAddress client, in IpAddress server)
    {
        if (cookie.Length != CookieLength) return FastOpenCookieAge.Invalid;
        if (Matches(Primary, cookie, client, server)) return FastOpenCookieAge.Current;
        return Previous is { } previous && Matches(previous, cookie, client, server) ? FastOpenCookieAge.Previous : FastOpenCookieAge.Invalid;
    }

    private static bool Matches(UInt128 key, ReadOnlySpan<byte> cookie, in IpAddress client, in IpAddress server)
    {
        Span<byte> right = stackalloc byte[FastOpenCookie.LengthMax];
        return CryptographicOperations.FixedTimeEquals(cookie, Make(key, client, server).WriteTo(right));
    }

    // RFC 7413 §4.1.2: a MAC over the addresses; ports are left out, so that one cookie serves all of a server's ports.
    private static FastOpenCookie Make(UInt128 key, in IpAddress client, in IpAddress server)
    {
        Span<byte> bytes = stackalloc byte[32];
        var length = client.IsIPv4 ? 4 : 16;
        client.WriteTo(bytes);
        server.WriteTo(bytes[length..]);
        Span<byte> cookie = stackalloc byte[CookieLength];
        BinaryPrimitives.WriteUInt64LittleEndian(cookie, SipHash.Hash24(key, bytes[..(2 * length)]));
        return new FastOpenCookie(cookie);
    }
}
