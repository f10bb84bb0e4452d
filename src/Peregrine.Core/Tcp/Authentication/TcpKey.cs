// A secret that we share with a peer, and what is made of it: MD5 signatures (RFC 2385), or a master key tuple of TCP-AO (RFC 5925 §3.1).
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>How segments are authenticated.</summary>
public enum TcpKeyAlgorithm : byte
{
    /// <summary>MD5 signatures (RFC 2385): for peers that know nothing better.</summary>
    Md5,

    /// <summary>TCP-AO with HMAC-SHA-1-96 and KDF_HMAC_SHA1 (RFC 5926 §3), "SHA1" in other systems.</summary>
    HmacSha1,

    /// <summary>TCP-AO with AES-128-CMAC-96 and KDF_AES_128_CMAC (RFC 5926 §3), "AES128" in other systems.</summary>
    AesCmac,
}

/// <summary>A key. It does not change; a connection is given others instead (RFC 5925 §3.1).</summary>
public sealed class TcpKey
{
    // RFC 2385 §4.5.
    /// <summary>Bytes of a secret at most, as the kernel's TCP_MD5SIG and TCP_AO have it.</summary>
    public const int SecretLengthMax = 80;

    private readonly byte[] _secret;
    private readonly IpPrefix? _peer, _local;

    /// <summary>Makes a key.</summary>
    /// <param name="algorithm">What is made of it.</param>
    /// <param name="secret">The secret (RFC 5925's master key), 1 to 80 bytes; copied.</param>
    /// <exception cref="ArgumentException">The secret is empty or too long, or there is no such algorithm.</exception>
    public TcpKey(TcpKeyAlgorithm algorithm, ReadOnlySpan<byte> secret)
    {
        if (!Enum.IsDefined(algorithm)) throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "The algorithm must be one of: Md5, HmacSha1, AesCmac.");
        if (secret.Length is 0 or > SecretLengthMax) throw new ArgumentException($"The secret has {secret.Length} bytes; it must have 1 to {SecretLengthMax}.", nameof(secret));
        Algorithm = algorithm;
        _secret = secret.ToArray();
    }

    /// <summary>What is made of it.</summary>
    public TcpKeyAlgorithm Algorithm { get; }

    /// <summary>The peers that share it, or null for every peer. Bits behind the prefix are cleared.</summary>
    public IpPrefix? Peer
    {
        get => _peer;
        init => _peer = Cleared(value);
    }

    /// <summary>Our addresses that it is for, or null for every address. Bits behind the prefix are cleared.</summary>
    public IpPrefix? Local
    {
        get => _local;
        init => _local = Cleared(value);
    }

    /// <summary>The peers' port that it is for, or null for every port.</summary>
    public ushort? PeerPort { get; init; }

    /// <summary>Our port that it is for, or null for every port: of use in a set that several listeners share.</summary>
    public ushort? LocalPort { get; init; }

    /// <summary>TCP-AO: SendID, the KeyID of segments that we send with it (RFC 5925 §3.1: any value).</summary>
    public byte SendId { get; init; }

    /// <summary>TCP-AO: RecvID, the KeyID of segments that the peer sends with it.</summary>
    public byte ReceiveId { get; init; }

    /// <summary>TCP-AO: the MAC covers the other options too (RFC 5925 §3.1, TCP option flag). Default true.</summary>
    public bool CoversOptions { get; init; } = true;

    internal ReadOnlySpan<byte> Secret => _secret;

    internal bool IsMd5 => Algorithm == TcpKeyAlgorithm.Md5;

    // RFC 5925 §3.1: a connection identifier is a socket pair, each part of it given in full, in part or not at all.
    internal bool Takes(in Endpoint local, in Endpoint peer) =>
        Takes(Peer, PeerPort, peer) && Takes(Local, LocalPort, local);

    internal bool IsForTheSameAs(TcpKey other) => (Peer, PeerPort, Local, LocalPort) == (other.Peer, other.PeerPort, other.Local, other.LocalPort);

    /// <summary>Below zero where the connections that this key is for are the narrower choice of the two.</summary>
    internal int CompareNarrowness(TcpKey other) => other.Narrowness.CompareTo(Narrowness);

    // The peer's address decides first, then its port, then our address, then our port.
    private (int, bool, int, bool) Narrowness => (Peer?.Length ?? -1, PeerPort is not null, Local?.Length ?? -1, LocalPort is not null);

    /// <summary>The key without its secret.</summary>
    public override string ToString()
    {
        var text = $"{Algorithm} {Side(Peer, PeerPort)}";
        if (Local is not null || LocalPort is not null) text += $" to {Side(Local, LocalPort)}";
        return IsMd5 ? text : $"{text} send {SendId} receive {ReceiveId}";
    }

    private static bool Takes(IpPrefix? addresses, ushort? port, in Endpoint one) =>
        (addresses is not { } prefix || prefix.Contains(one.Address)) && (port is not { } number || number == one.Port);

    private static IpPrefix? Cleared(IpPrefix? value) => value is { } prefix ? new IpPrefix(prefix.NetworkAddress, prefix.Length) : null;

    private static string Side(IpPrefix? addresses, ushort? port) => port is null ? $"{addresses}" : $"{addresses} port {port}";
}
