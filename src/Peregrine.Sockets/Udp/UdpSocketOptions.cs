// How a UDP socket is made, and what a received datagram says about itself.
using Peregrine.Wire;

namespace Peregrine.Sockets;

/// <summary>How a UDP socket is made.</summary>
public sealed record UdpSocketOptions
{
    /// <summary>Bound to IPv6Any: whether IPv4 is served too. Default true.</summary>
    public bool DualMode { get; init; } = true;

    /// <summary>SO_REUSEADDR: others with the same wish may bind the same endpoint. Default false.</summary>
    public bool ReuseAddress { get; init; }

    /// <summary>SO_BROADCAST: it may send to broadcast addresses. Default false.</summary>
    public bool EnableBroadcast { get; init; }

    /// <summary>SO_RCVBUF: receive buffer in bytes of memory, 4,096 to 1 GiB, or 0 for the stack's default.</summary>
    public int ReceiveBufferSize { get; init; }

    /// <summary>IP_TTL, 1 to 255, or 0 for the default of 64.</summary>
    public int Ttl { get; init; }

    /// <summary>IP_MULTICAST_TTL, 1 to 255. Default 1.</summary>
    public int MulticastTtl { get; init; } = 1;

    /// <summary>IP_TOS and IPV6_TCLASS, 0 to 255. Default 0.</summary>
    public int Tos { get; init; }

    /// <summary>Whether datagrams larger than the path's MTU are refused with MessageSize rather than fragmented. Default false.</summary>
    public bool DontFragment { get; init; }

    /// <summary>Where awaiting code goes on. Default: as the network says.</summary>
    public CompletionMode CompletionMode { get; init; }

    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range; the message names setting, value and range.</exception>
    public void Validate()
    {
        if (ReceiveBufferSize != 0) Range(nameof(ReceiveBufferSize), ReceiveBufferSize, 4_096, 1 << 30);
        Range(nameof(Ttl), Ttl, 0, 255);
        Range(nameof(MulticastTtl), MulticastTtl, 1, 255);
        Range(nameof(Tos), Tos, 0, 255);
    }

    private static void Range(string name, int value, int min, int max)
    {
        if (value < min || value > max) throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be from {min} to {max}.");
    }
}

/// <summary>A received datagram: a value, so that receiving allocates nothing.</summary>
/// <param name="ReceivedBytes">Bytes written to the buffer.</param>
/// <param name="RemoteEndpoint">Who sent it.</param>
/// <param name="LocalAddress">The own address that it was sent to.</param>
/// <param name="IsTruncated">Whether the buffer was too short; the rest of the datagram is gone.</param>
public readonly record struct UdpReceived(int ReceivedBytes, Endpoint RemoteEndpoint, IpAddress LocalAddress, bool IsTruncated);
