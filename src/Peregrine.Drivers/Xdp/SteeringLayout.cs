// The memory that the XDP program and this process share: what the steering program reads at each frame and what it counts. One element
// of an array map, mapped, so that opening a port is one store and no system call.
namespace Peregrine.Drivers.Xdp;

internal static class SteeringLayout
{
    /// <summary>32 bits: <see cref="TakeAll"/>.</summary>
    public const int Flags = 0;

    /// <summary>32 bits, 0 or 1: with 1 the ports in the tables are the kernel's and all others ours.</summary>
    public const int Inverted = 4;

    /// <summary>A line a queue: frames taken and frames passed, 64 bits each. As wide as the widest cache line, for each queue has a core.</summary>
    public const int Counts = 128, CountStride = 128, CountedQueues = 64;

    public const int Taken = 0, Passed = 8;

    /// <summary>A bit a port.</summary>
    public const int TcpPorts = Counts + (CountStride * CountedQueues), PortBytes = 65_536 / 8, UdpPorts = TcpPorts + PortBytes;

    public const int Size = UdpPorts + PortBytes;

    /// <summary>Every frame is ours.</summary>
    public const int TakeAll = 1;

    /// <summary>What the table of addresses says of one: all of it is ours, or the ports decide.</summary>
    public const int AddressIsOurs = 1, AddressIsShared = 2;

    /// <summary>Keys: an address (IPv4 ones mapped into IPv6), and a fragmented packet's source, destination, identification and protocol.</summary>
    public const int AddressKey = 16, FragmentKey = 40;

    public const int AddressCountMax = 1024, FragmentCountMax = 4096;
}
