// What a memif link is told. No behaviour; its form as text is in MemifKind.
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Memif;

/// <summary>Which end of a memif connection this is.</summary>
public enum MemifRole
{
    /// <summary>Connects, and brings the memory ("slave" in older texts).</summary>
    Client,

    /// <summary>Listens, and works in the client's memory ("master" in older texts).</summary>
    Server,
}

/// <summary>How a memif link is opened.</summary>
public sealed record MemifOptions
{
    /// <summary>The control socket: a path, or "@NAME" for an abstract name; at most 107 bytes.</summary>
    public string SocketPath { get; init; } = "";

    /// <summary>Default: client.</summary>
    public MemifRole Role { get; init; } = MemifRole.Client;

    /// <summary>The interface's number on the socket; both ends must say the same. Default 0.</summary>
    public uint Id { get; init; }

    /// <summary>Pairs of rings, 1 to 64. The fewer of both ends' count. Default 1.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Descriptors a ring, a power of two from 2 to 16,384; the client's counts. Default 1,024.</summary>
    public int RingSize { get; init; } = 1_024;

    /// <summary>Bytes of each of the client's buffers, a multiple of 64 from 256 to 65,472; longer frames take several. Default 2,048.</summary>
    public int BufferSize { get; init; } = 2_048;

    /// <summary>What the client must know to be let in, at most 24 bytes of ASCII; empty for nothing.</summary>
    public string Secret { get; init; } = "";

    /// <summary>With Ethernet headers (default) or without ("mode=ip"); both ends must say the same.</summary>
    public LinkMedium Medium { get; init; } = LinkMedium.Ethernet;

    /// <summary>The largest IP packet in bytes, 68 to 65,513; memif itself does not tell the peer. Default 1,500.</summary>
    public int Mtu { get; init; } = 1_500;

    /// <summary>Our address; null for one derived from socket, number and role.</summary>
    public MacAddress? MacAddress { get; init; }

    /// <summary>The core never sleeps on this link and asks the peer for no signals. Default false.</summary>
    public bool Polling { get; init; }

    /// <summary>
    /// Server: also takes memory that is not sealed against shrinking. A client that cuts it then ends this process (SIGBUS), so only for
    /// trusted peers; DPDK's zero-copy client is one that needs it. Default false.
    /// </summary>
    public bool AllowUnsealed { get; init; }

    /// <summary>Server: bytes of memory that a client may bring, in all. Default 1 GiB.</summary>
    public long RegionBytesMax { get; init; } = 1L << 30;

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">A setting is out of its range; the message names setting, value and range.</exception>
    public void Validate()
    {
        var length = System.Text.Encoding.UTF8.GetByteCount(SocketPath);
        if (SocketPath is "" or "@" || length >= UnixSocket.PathSize || SocketPath.Contains('\0'))
            throw new ArgumentException($"The memif socket is \"{SocketPath}\"; it must be a path, or @NAME, of 1 to {UnixSocket.PathSize - 1} bytes.");
        Range("queues", QueueCount, 1, 64);
        Range("ring", RingSize, 1 << MemifRing.SizeLog2Min, 1 << MemifRing.SizeLog2Max);
        if ((RingSize & (RingSize - 1)) != 0) throw new ArgumentException($"memif ring is {RingSize}; it must be a power of two from 2 to 16384.");
        Range("buffer", BufferSize, 256, 65_472);
        if (BufferSize % 64 != 0) throw new ArgumentException($"memif buffer is {BufferSize}; it must be a multiple of 64 from 256 to 65472.");
        // Offsets on the wire have 32 bits.
        if (Role == MemifRole.Client && 2L * QueueCount * RingSize * BufferSize > 0xF000_0000)
            throw new ArgumentException($"memif queues={QueueCount},ring={RingSize},buffer={BufferSize} needs {2L * QueueCount * RingSize * BufferSize} bytes; at most {0xF000_0000} can be addressed.");
        Range("mtu", Mtu, 68, 65_513);
        if (Secret.Length > MemifMessage.SecretSize || Secret.Any(static c => c is < ' ' or > '~'))
            throw new ArgumentException($"The memif secret has {Secret.Length} characters; it must have at most {MemifMessage.SecretSize}, of printable ASCII.");
        if (RegionBytesMax < 4_096) throw new ArgumentException($"memif {nameof(RegionBytesMax)} is {RegionBytesMax}; it must be at least 4096.");
    }

    private static void Range(string name, int value, int min, int max)
    {
        if (value < min || value > max) throw new ArgumentException($"memif {name} is {value}; it must be from {min} to {max}.");
    }
}
