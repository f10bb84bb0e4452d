// The neighbour cache of RFC 4861 §5.1, for IPv6 and, with the same states, for IPv4: entries, their states, the packets that wait, and
// what makes room when the table is full. It does not know messages: ARP and NeighbourDiscovery feed it, and it asks Solicitor to ask.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>The neighbours.</summary>
internal sealed class NeighbourCache
{
    // RFC 4861 §10.
    internal const int MulticastSolicitMax = 3;
    internal const int UnicastSolicitMax = 3;
    internal static readonly Duration DelayFirstProbe = Duration.FromSeconds(5);

    // A handle is the place in the lower bits and a generation above, so that one that outlived its entry is noticed.
    private const int IndexBits = 14;
    private const uint IndexMask = (1u << IndexBits) - 1;

    // How many entries are looked at for one to forget: a bound on the work, not a promise to find one.
    private const int EvictionScanMax = 64;

    private struct QueuedFrame
    {
        public Frame Frame;
        public int Next;          // index + 1
    }

    private readonly IpLayer _ip;
    private readonly RegionArray<Neighbour> _entries;
    private readonly RegionArray<int> _buckets;      // index + 1
    private readonly RegionArray<QueuedFrame> _queue;
    private readonly AddressHash _hash;
    private readonly DeadlineHeap _timers;
    private readonly int _queueCountMax;
    private int _free, _queueFree;                   // index + 1
    private int _hand;
    private int _reporting = -1;

    public NeighbourCache(IpLayer ip, MemoryRegion region, IpOptions options, AddressHash hash, DeadlineHeap timers)
    {
        (_ip, _hash, _timers) = (ip, hash, timers);
        _entries = new RegionArray<Neighbour>(region, options.NeighbourCountMax);
        _buckets = new RegionArray<int>(region, BucketCount(options));
        _queue = new RegionArray<QueuedFrame>(region, options.NeighbourQueueTotalMax);
        _queueCountMax = options.NeighbourQueueCountMax;
        for (int i = _entries.Length - 1; i >= 0; i--)
        {
            _entries[i].Next = _free;
            _free = i + 1;
        }

        for (int i = _queue.Length - 1; i >= 0; i--)
        {
            _queue[i].Next = _queueFree;
            _queueFree = i + 1;
        }
    }

    public int Count { get; private set; }

    /// <summary>Packets that wait for an address.</summary>
    internal int WaitingCount { get; private set; }

    public int CountMax => _entries.Length;

    public static nuint BytesFor(IpOptions options) =>
        RegionArray<Neighbour>.BytesFor(options.NeighbourCountMax) + RegionArray<int>.BytesFor(BucketCount(options))
        + RegionArray<QueuedFrame>.BytesFor(options.NeighbourQueueTotalMax);

    /// <summary>The entry at a place, for listings; see <see cref="Neighbour.IsUsed"/>.</summary>
    public ref readonly Neighbour At(int place) => ref _entries[place];

    /// <summary>The state of an entry as of now: reachability that has run out is staleness, without a timer having to say so.</summary>
    public static NeighbourState StateOf(in Neighbour entry, Instant now) =>
        entry.State == NeighbourState.Reachable && entry.ReachableUntil <= now ? NeighbourState.Stale : entry.State;

    /// <summary>The place of a neighbour, or -1.</summary>
    public int Find(int interfaceIndex, in IpAddress address)
    {
        for (int next = _buckets[Bucket(interfaceIndex, address)]; next != 0; next = _entries[next - 1].Next)
        {
            ref Neighbour entry = ref _entries[next - 1];
            if (entry.InterfaceIndex == interfaceIndex && entry.Address == address) return next - 1;
        }

        return -1;
    }

    public uint HandleOf(int place) => (uint)place | (_entries[place].Generation << IndexBits);

    /// <summary>The place that a handle names, while its entry lives.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGet(uint handle, out int place)
    {
        place = (int)(handle & IndexMask);
        if (place >= _entries.Length) return false;
        ref Neighbour entry = ref _entries[place];
        return entry.IsUsed && (entry.Generation & (uint.MaxValue >> IndexBits)) == handle >> IndexBits;
    }

    /// <summary>Finds or makes the entry of a neighbour that we want to send to. Nothing is asked before the first packet.</summary>
    /// <returns>Its place, or -1 when every entry is in use.</returns>
    public int FindOrAdd(int interfaceIndex, in IpAddress address, Instant now)
    {
        int place = Find(interfaceIndex, address);
        return place >= 0 ? place : Add(interfaceIndex, address, now);
    }

    /// <summary>Sends a packet (an IP header first) to a neighbour, or lets it wait for its address. Owns the frame.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Send(int place, ref Frame frame, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        if (IsReachable(entry, now))
            _ip.Link.Send(entry.InterfaceIndex, ref frame, entry.Mac, entry.Address.IsIPv4 ? EtherType.IPv4 : EtherType.IPv6);
        else
            SendUnsure(place, ref frame, now);
    }

    private void SendUnsure(int place, ref Frame frame, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        switch (entry.State)
        {
            case NeighbourState.None:
                // RFC 4861 §7.2.2: no entry: ask by multicast, and let the packet wait.
                entry.State = NeighbourState.Incomplete;
                entry.Used = now;
                Enqueue(place, ref frame);
                Solicit(place, now);
                return;
            case NeighbourState.Incomplete:
                // RFC 1122 §2.4: that the address is not known yet is no reason to call the destination unreachable.
                Enqueue(place, ref frame);
                return;
            case NeighbourState.Reachable:
            case NeighbourState.Stale:
                // RFC 4861 §7.3.3: the first packet to a stale neighbour starts the delay in which upper layers may confirm it.
                entry.State = NeighbourState.Delay;
                entry.Used = now;
                entry.Probes = 0;
                _timers.Arm(place, now + DelayFirstProbe);
                break;
        }

        _ip.Link.Send(entry.InterfaceIndex, ref frame, entry.Mac, entry.Address.IsIPv4 ? EtherType.IPv4 : EtherType.IPv6);
    }

    /// <summary>The address of a neighbour to whom a packet goes without further ado.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetReachable(uint handle, Instant now, out MacAddress mac)
    {
        mac = default;
        if (!TryGet(handle, out int place) || !IsReachable(_entries[place], now)) return false;
        mac = _entries[place].Mac;
        return true;
    }

    private static bool IsReachable(in Neighbour entry, Instant now) =>
        (entry.State == NeighbourState.Reachable && entry.ReachableUntil > now) || entry.State == NeighbourState.Permanent;

    /// <summary>RFC 4861 §7.3.1: an upper layer saw forward progress through this neighbour.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Confirm(uint handle, Instant now)
    {
        if (!TryGet(handle, out int place)) return;
        ref Neighbour entry = ref _entries[place];
        if (entry.State == NeighbourState.Reachable) entry.ReachableUntil = now + _ip.ReachableTime(entry.InterfaceIndex, now);
        else if (entry.State is NeighbourState.Stale or NeighbourState.Delay or NeighbourState.Probe) SetReachable(place, now);
    }

    /// <summary>The neighbour asked us something and named its address (RFC 4861 §7.2.3; RFC 826, for which an ask is as good).</summary>
    public void OnSolicited(int interfaceIndex, in IpAddress address, MacAddress mac, bool mayAdd, Instant now)
    {
        int place = Find(interfaceIndex, address);
        if (place < 0 && mayAdd) place = Add(interfaceIndex, address, now);
        if (place >= 0) OnLinkAddress(place, mac, now);
    }

    /// <summary>A link-layer address in anything but an advertisement: a new one makes the entry stale, the same one says nothing.</summary>
    public void OnLinkAddress(int place, MacAddress mac, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        if (entry.State == NeighbourState.Permanent) return;
        bool unknown = entry.State is NeighbourState.None or NeighbourState.Incomplete;
        if (!unknown && entry.Mac == mac) return;
        entry.Mac = mac;
        SetStale(place, now);
        if (unknown) Flush(place);
    }

    /// <summary>An advertisement, or an ARP reply (RFC 4861 §7.2.5). False when it changed and confirmed nothing.</summary>
    /// <param name="interfaceIndex">Where it came in.</param>
    /// <param name="address">Whom it is about.</param>
    /// <param name="mac">The link-layer address, if <paramref name="hasMac"/>.</param>
    /// <param name="hasMac">Whether one was given.</param>
    /// <param name="flags">Router, solicited, override.</param>
    /// <param name="now">The time.</param>
    public bool OnAdvertised(int interfaceIndex, in IpAddress address, MacAddress mac, bool hasMac, AdvertisementFlags flags, Instant now)
    {
        // RFC 4861 §7.2.5: an advertisement about somebody we do not talk to is discarded; it makes no entry.
        int place = Find(interfaceIndex, address);
        if (place < 0) return false;
        ref Neighbour entry = ref _entries[place];
        bool solicited = (flags & AdvertisementFlags.Solicited) != 0, overriding = (flags & AdvertisementFlags.Override) != 0;
        switch (entry.State)
        {
            case NeighbourState.None or NeighbourState.Permanent:
                return false;
            case NeighbourState.Incomplete:
                if (!hasMac) return false;
                entry.Mac = mac;
                if (solicited) SetReachable(place, now);
                else SetStale(place, now);
                NoteRouter(ref entry, (flags & AdvertisementFlags.Router) != 0);
                Flush(place);
                return true;
        }

        bool differs = hasMac && entry.Mac != mac;
        if (!overriding && differs)
        {
            // RFC 4861 §7.2.5 I: without Override a different address is not believed, but doubt is cast on the old one.
            if (StateOf(entry, now) != NeighbourState.Reachable) return false;
            SetStale(place, now);
            return true;
        }

        // RFC 4861 §7.2.5 II.
        if (differs) entry.Mac = mac;
        if (solicited) SetReachable(place, now);
        else if (differs) SetStale(place, now);
        NoteRouter(ref entry, (flags & AdvertisementFlags.Router) != 0);
        return solicited || differs;
    }

    /// <summary>Notes that a neighbour sent a router advertisement.</summary>
    public void OnRouterAdvertised(int interfaceIndex, in IpAddress address, MacAddress mac, bool hasMac, Instant now)
    {
        int place = Find(interfaceIndex, address);
        if (place < 0 && hasMac) place = Add(interfaceIndex, address, now);
        if (place < 0) return;
        if (hasMac) OnLinkAddress(place, mac, now);
        _entries[place].IsRouter = true;
    }

    /// <summary>Sets an entry from outside, for good.</summary>
    public bool SetPermanent(int interfaceIndex, in IpAddress address, MacAddress mac, Instant now)
    {
        int place = FindOrAdd(interfaceIndex, address, now);
        if (place < 0) return false;
        ref Neighbour entry = ref _entries[place];
        entry.Mac = mac;
        entry.State = NeighbourState.Permanent;
        _timers.Cancel(place);
        Flush(place);
        return true;
    }

    public bool Remove(int interfaceIndex, in IpAddress address)
    {
        int place = Find(interfaceIndex, address);
        if (place < 0) return false;
        Release(place, ref _ip.NeighbourCounters.QueueDropped);
        return true;
    }

    /// <summary>Forgets what was learned on an interface; what was set from outside stays.</summary>
    public void RemoveLearned(int interfaceIndex)
    {
        for (int place = 0; place < _entries.Length; place++)
        {
            ref readonly Neighbour entry = ref _entries[place];
            if (entry.IsUsed && entry.InterfaceIndex == interfaceIndex && entry.State != NeighbourState.Permanent)
                Release(place, ref _ip.NeighbourCounters.QueueDropped);
        }
    }

    /// <summary>An entry's timer has come.</summary>
    public void OnTimer(int place, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        switch (entry.State)
        {
            case NeighbourState.Delay:
                // RFC 4861 §7.3.3: nobody confirmed it in time.
                entry.State = NeighbourState.Probe;
                entry.Probes = 0;
                Solicit(place, now);
                break;
            case NeighbourState.Incomplete when entry.Probes < MulticastSolicitMax:
            case NeighbourState.Probe when entry.Probes < UnicastSolicitMax:
                Solicit(place, now);
                break;
            case NeighbourState.Incomplete:
            case NeighbourState.Probe:
                GiveUp(place, now);
                break;
        }
    }

    private void GiveUp(int place, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        _ip.NeighbourCounters.Unreachable++;
        // RFC 1122 §3.3.1.4: a dead gateway is noticed by its silence when it was sent to.
        _ip.OnGatewayAnswers(entry.Address, entry.InterfaceIndex, false);
        // RFC 4861 §7.2.2: the packets that waited are reported as undeliverable. RFC 1122 §2.3.2.2 leaves it open for ARP.
        // A transport may send again from within the report, so this entry is kept and each packet taken off before.
        _reporting = place;
        for (int left = entry.QueueCount; left > 0; left--)
        {
            Frame frame = Dequeue(place);
            _ip.NeighbourCounters.QueueUnreachable++;
            _ip.Counters.SendDroppedNeighbour++;
            _ip.Errors.ReportUnreachable(frame, now);
            _ip.Frames.Return(frame);
        }

        _reporting = -1;
        Release(place, ref _ip.NeighbourCounters.QueueUnreachable);
    }

    private void Solicit(int place, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        entry.Probes++;
        // RFC 1122 §2.3.2.1: at most one question a second, and entries do not live on without an answer.
        _timers.Arm(place, now + _ip.Interface(entry.InterfaceIndex).RetransTimer);
        _ip.Solicitor.Solicit(entry.InterfaceIndex, entry.Address, entry.State == NeighbourState.Probe ? entry.Mac : default);
    }

    private void SetReachable(int place, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        entry.State = NeighbourState.Reachable;
        entry.WasReachable = true;
        entry.Used = now;
        entry.ReachableUntil = now + _ip.ReachableTime(entry.InterfaceIndex, now);
        _timers.Cancel(place);
        _ip.OnGatewayAnswers(entry.Address, entry.InterfaceIndex, true);
    }

    private void SetStale(int place, Instant now)
    {
        ref Neighbour entry = ref _entries[place];
        entry.State = NeighbourState.Stale;
        entry.Used = now;
        _timers.Cancel(place);
    }

    private void NoteRouter(ref Neighbour entry, bool isRouter)
    {
        if (entry.Address.IsIPv4) return;
        // RFC 4861 §7.2.5: a router that became a host is no default router any more.
        if (entry.IsRouter && !isRouter) _ip.OnRouterGone(entry.Address, entry.InterfaceIndex);
        entry.IsRouter = isRouter;
    }

    private void Enqueue(int place, ref Frame frame)
    {
        ref Neighbour entry = ref _entries[place];
        // RFC 4861 §7.2.2, RFC 1122 §2.3.2.2: the latest packets wait; a full queue replaces the oldest.
        if (entry.QueueCount >= _queueCountMax || (_queueFree == 0 && entry.QueueCount > 0)) DropOldest(place);
        // What waits outlives the memory that a link gathers from.
        if (_queueFree == 0 || ((frame.Flags & FrameFlags.Gathered) != 0 && !_ip.Frames.TryKeep(ref frame)))
        {
            _ip.NeighbourCounters.QueueDropped++;
            _ip.Counters.SendDroppedNeighbour++;
            _ip.Frames.Return(frame);
            return;
        }

        int item = _queueFree;
        _queueFree = _queue[item - 1].Next;
        _queue[item - 1] = new QueuedFrame { Frame = frame };
        if (entry.QueueHead == 0) entry.QueueHead = item;
        else _queue[entry.QueueTail - 1].Next = item;
        entry.QueueTail = item;
        entry.QueueCount++;
        WaitingCount++;
        _ip.NeighbourCounters.Queued++;
    }

    private void DropOldest(int place)
    {
        _ip.NeighbourCounters.QueueDropped++;
        _ip.Counters.SendDroppedNeighbour++;
        _ip.Frames.Return(Dequeue(place));
    }

    private Frame Dequeue(int place)
    {
        ref Neighbour entry = ref _entries[place];
        int item = entry.QueueHead;
        Frame frame = _queue[item - 1].Frame;
        entry.QueueHead = _queue[item - 1].Next;
        entry.QueueCount--;
        WaitingCount--;
        _queue[item - 1].Next = _queueFree;
        _queueFree = item;
        return frame;
    }

    private void Flush(int place)
    {
        ref Neighbour entry = ref _entries[place];
        while (entry.QueueHead != 0)
        {
            Frame frame = Dequeue(place);
            _ip.Link.Send(entry.InterfaceIndex, ref frame, entry.Mac, entry.Address.IsIPv4 ? EtherType.IPv4 : EtherType.IPv6);
        }
    }

    private int Add(int interfaceIndex, in IpAddress address, Instant now)
    {
        if (_free == 0 && !TryEvict(now))
        {
            _ip.NeighbourCounters.TableFull++;
            return -1;
        }

        int place = _free - 1;
        ref Neighbour entry = ref _entries[place];
        _free = entry.Next;
        int bucket = Bucket(interfaceIndex, address);
        entry = new Neighbour
        {
            Address = address,
            InterfaceIndex = (ushort)interfaceIndex,
            Generation = (entry.Generation + 1) & (uint.MaxValue >> IndexBits),
            Used = now,
            Next = _buckets[bucket],
            IsUsed = true,
        };
        // The all-ones handle is FlowPath.NoNeighbour.
        if (HandleOf(place) == FlowPath.NoNeighbour) entry.Generation = 0;
        _buckets[bucket] = place + 1;
        Count++;
        _ip.NeighbourCounters.Created++;
        return place;
    }

    // Never one that is in use: reachable, being confirmed, or set from outside. First what nobody asked for yet, then the stale ones,
    // then those that do not answer, so that a flood of made-up neighbours pushes out itself.
    private bool TryEvict(Instant now)
    {
        int victim = -1, victimRank = int.MaxValue;
        for (int i = 0; i < EvictionScanMax && i < _entries.Length; i++)
        {
            _hand = _hand + 1 < _entries.Length ? _hand + 1 : 0;
            ref Neighbour entry = ref _entries[_hand];
            int rank = StateOf(entry, now) switch
            {
                NeighbourState.None => 0,
                NeighbourState.Stale => 1,
                NeighbourState.Incomplete => 2,
                NeighbourState.Delay or NeighbourState.Probe when !entry.WasReachable => 3,
                _ => int.MaxValue,
            };
            if (!entry.IsUsed || _hand == _reporting || rank == int.MaxValue || rank > victimRank) continue;
            if (rank == victimRank && entry.Used >= _entries[victim].Used) continue;
            (victim, victimRank) = (_hand, rank);
        }

        if (victim < 0) return false;
        _ip.NeighbourCounters.Evicted++;
        Release(victim, ref _ip.NeighbourCounters.QueueDropped);
        return true;
    }

    private void Release(int place, ref long dropped)
    {
        ref Neighbour entry = ref _entries[place];
        while (entry.QueueHead != 0)
        {
            dropped++;
            _ip.Counters.SendDroppedNeighbour++;
            _ip.Frames.Return(Dequeue(place));
        }

        _timers.Cancel(place);
        ref int link = ref _buckets[Bucket(entry.InterfaceIndex, entry.Address)];
        while (link != place + 1) link = ref _entries[link - 1].Next;
        link = entry.Next;
        entry = new Neighbour { Generation = entry.Generation, Next = _free };
        _free = place + 1;
        Count--;
    }

    private int Bucket(int interfaceIndex, in IpAddress address) => (int)(_hash.Of(address, (uint)interfaceIndex) & (uint)(_buckets.Length - 1));

    private static int BucketCount(IpOptions options) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)options.NeighbourCountMax);
}
