// One interface as the IP layer keeps it: what the link is, what routers said about it, and the burst of frames that waits to be
// transmitted. Addresses and neighbours are in tables of their own.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>An interface.</summary>
internal sealed class IpInterface
{
    private readonly Frame[] _burst;
    private readonly int _reserve;
    private MacAddress _mac;
    private Duration _baseReachableTime = Duration.FromSeconds(30);
    private Duration _reachableTime;
    private Instant _reachableTimeUntil;

    public IpInterface(int index, InterfaceOptions options, IpOptions bounds)
    {
        (Index, Options) = (index, options);
        (Mtu, Mac) = (options.Mtu, options.MacAddress);
        (IsEthernet, IsLoopback, Offloads) = (options.Medium == LinkMedium.Ethernet, options.IsLoopback, options.Offloads);
        HopLimit = bounds.DefaultHopLimit;
        _burst = new Frame[bounds.OutputBurstMax];
        _reserve = bounds.OutputReserve;
    }

    public int Index { get; }

    public InterfaceOptions Options { get; }

    public string Name => Options.Name;

    /// <summary>Our address; the device may have been replaced by one with another address.</summary>
    public MacAddress Mac
    {
        get => _mac;
        set
        {
            _mac = value;
            Span<byte> bytes = stackalloc byte[6];
            value.WriteTo(bytes);
            (MacHead, MacTail) = (MemoryMarshal.Read<uint>(bytes), MemoryMarshal.Read<ushort>(bytes[4..]));
        }
    }

    /// <summary>The address as it lies in a frame, in two words.</summary>
    public uint MacHead { get; private set; }

    public ushort MacTail { get; private set; }

    public bool IsEthernet { get; }

    public bool IsLoopback { get; }

    public LinkOffloads Offloads { get; }

    /// <summary>Largest IPv4 packet in bytes.</summary>
    public int Mtu { get; set; }

    /// <summary>Largest IPv6 packet: a router may have advertised less than the link carries.</summary>
    public int IPv6Mtu => Math.Min(Mtu, AdvertisedMtu);

    /// <summary>What a router advertised (RFC 4861 §6.3.4); nothing smaller than the link carries where none did.</summary>
    public int AdvertisedMtu { get; set; } = ushort.MaxValue;

    /// <summary>Whether the link can carry IPv6 at all (RFC 8200 §5).</summary>
    public bool HasIPv6 => Mtu >= IPv6Header.MtuMin;

    /// <summary>Hop limit for what is sent here without another wish; a router may have advertised it.</summary>
    public byte HopLimit { get; set; }

    /// <summary>RFC 4861 §6.3.2 BaseReachableTime.</summary>
    public Duration BaseReachableTime
    {
        get => _baseReachableTime;
        set
        {
            // RFC 4861 §6.3.4: another value has ReachableTime drawn again.
            if (value != _baseReachableTime) _reachableTimeUntil = default;
            _baseReachableTime = value;
        }
    }

    /// <summary>RFC 4861 §6.3.2 RetransTimer: between solicitations.</summary>
    public Duration RetransTimer { get; set; } = Duration.FromSeconds(1);

    /// <summary>Router solicitations that may still be sent.</summary>
    public int RouterSolicitationsLeft { get; set; }

    /// <summary>RFC 4861 §6.3.2 ReachableTime: uniformly from half to one and a half of the base time, drawn anew "at least every few hours".</summary>
    public Duration ReachableTime(StackRandom random, Instant now)
    {
        if (now < _reachableTimeUntil) return _reachableTime;
        uint baseMs = (uint)_baseReachableTime.Milliseconds;
        _reachableTime = Duration.FromMilliseconds((baseMs / 2) + random.Next(baseMs + 1));
        _reachableTimeUntil = now + Duration.FromSeconds(2 * 3_600);
        return _reachableTime;
    }

    /// <summary>Frames that wait.</summary>
    public int BurstCount { get; private set; }

    /// <summary>Whether there is room for a frame of data.</summary>
    public bool HasRoom
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => BurstCount < _burst.Length - _reserve;
    }

    /// <summary>For how many frames of data there is room; less than none where the reserve is in use.</summary>
    public int Room => _burst.Length - _reserve - BurstCount;

    public Span<Frame> Burst => _burst.AsSpan(0, BurstCount);

    /// <summary>Puts a frame at the end of the burst; the reserve is for <paramref name="urgent"/> ones.</summary>
    public bool TryEnqueue(in Frame frame, bool urgent)
    {
        if (BurstCount >= (urgent ? _burst.Length : _burst.Length - _reserve)) return false;
        _burst[BurstCount++] = frame;
        return true;
    }

    /// <summary>A new frame at the end of the burst, to be filled in its place: without a wide copy right behind narrow stores. There must be room.</summary>
    public ref Frame Append()
    {
        ref Frame frame = ref _burst[BurstCount++];
        frame = default;
        return ref frame;
    }

    /// <summary>Forgets the first <paramref name="count"/> frames, which somebody else owns now.</summary>
    public void Dequeue(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, BurstCount);
        int left = BurstCount - count;
        if (left > 0) Array.Copy(_burst, count, _burst, 0, left);
        BurstCount = left;
    }

    /// <summary>
    /// The link has not taken what waits, and the memory that it gathers from may be used for something else from now on: such frames get copies.
    /// </summary>
    /// <returns>How many were dropped, for want of chunks.</returns>
    public int KeepGathered(FramePool frames)
    {
        int kept = 0;
        int count = BurstCount;
        for (int i = 0; i < count; i++)
        {
            if ((_burst[i].Flags & FrameFlags.Gathered) != 0 && !frames.TryKeep(ref _burst[i])) frames.Return(_burst[i]);
            else _burst[kept++] = _burst[i];
        }

        BurstCount = kept;
        return count - kept;
    }

    /// <summary>Largest IP packet of the family.</summary>
    public int MtuFor(in IpAddress address) => address.IsIPv4 ? Mtu : IPv6Mtu;
}
