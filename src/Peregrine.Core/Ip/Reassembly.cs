// Reassembly of fragments of both families (RFC 1122 §3.2.1.4 and §3.3.2, RFC 791, RFC 815's idea of holes as a sorted list, RFC 8200 §4.5): bounded in datagrams,
// in fragments and in time. The fragments' chunks are joined, not copied. What the headers become is the caller's to decide.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>A fragment as input describes it. Offsets in the frame count from its first byte.</summary>
internal struct FragmentPlace
{
    public IpAddress Source, Destination;
    public uint Identification;
    public byte Protocol;          // 0 for IPv6, where it is no part of the key
    public byte Ecn;
    public bool More;
    public int NetworkOffset;      // of the IP header in the frame
    public int PayloadOffset;      // of the fragment's data in the frame
    public int NextFieldOffset;    // IPv6: of the field that names the fragment header
    public int Offset;             // of the data in the datagram
    public int Length;             // of the data
}

/// <summary>Gathers fragments.</summary>
internal sealed class Reassembly
{
    private struct Fragment
    {
        public Frame Frame;
        public FragmentPlace Place;
        public int Next;           // index + 1, by offset
    }

    private struct Datagram
    {
        public IpAddress Source, Destination;
        public uint Identification;
        public int First;          // index + 1
        public int Total;          // bytes, or -1
        public int Received;
        public int Count;
        public int Next, Older, Newer;   // index + 1: hash chain or free list; order of arrival
        public byte Protocol;
        public byte EcnSeen;       // a bit for each of the four marks
        public bool IsPoisoned;    // an overlap was found: the rest is dropped too
        public bool IsUsed;
    }

    private readonly IpLayer _ip;
    private readonly RegionArray<Datagram> _datagrams;
    private readonly RegionArray<Fragment> _fragments;
    private readonly RegionArray<int> _buckets;
    private readonly AddressHash _hash;
    private readonly int _perDatagramMax;
    private readonly Duration _timeoutIPv4, _timeoutIPv6;
    private int _freeDatagram, _freeFragment, _oldest, _newest;   // index + 1

    public Reassembly(IpLayer ip, MemoryRegion region, IpOptions options, AddressHash hash)
    {
        (_ip, _hash) = (ip, hash);
        _datagrams = new RegionArray<Datagram>(region, options.ReassemblyCountMax);
        _fragments = new RegionArray<Fragment>(region, options.FragmentCountMax);
        _buckets = new RegionArray<int>(region, BucketCount(options));
        _perDatagramMax = options.FragmentsPerDatagramMax;
        _timeoutIPv4 = Duration.FromSeconds(options.ReassemblyTimeoutIPv4Seconds);
        _timeoutIPv6 = Duration.FromSeconds(options.ReassemblyTimeoutIPv6Seconds);
        for (int i = _datagrams.Length; i > 0; i--) (_datagrams[i - 1].Next, _freeDatagram) = (_freeDatagram, i);
        for (int i = _fragments.Length; i > 0; i--) (_fragments[i - 1].Next, _freeFragment) = (_freeFragment, i);
    }

    /// <summary>Fragments held now.</summary>
    public int FragmentCount { get; private set; }

    /// <summary>Datagrams under way now.</summary>
    public int Count { get; private set; }

    public static nuint BytesFor(IpOptions options) =>
        RegionArray<Datagram>.BytesFor(options.ReassemblyCountMax) + RegionArray<Fragment>.BytesFor(options.FragmentCountMax)
        + RegionArray<int>.BytesFor(BucketCount(options));

    /// <summary>
    /// Takes a fragment and owns its frame. True when it was the last one missing: then <paramref name="frame"/> is the whole datagram,
    /// its headers those of the first fragment as <paramref name="place"/> says, with the total length of the data in
    /// <see cref="FragmentPlace.Length"/> and the merged mark in <see cref="FragmentPlace.Ecn"/>.
    /// </summary>
    public bool TryAdd(ref Frame frame, ref FragmentPlace place, Instant now)
    {
        int index = FindOrAdd(place, now);
        ref Datagram datagram = ref _datagrams[index];
        if (datagram.IsPoisoned) return Drop(ref _ip.Counters.DroppedFragmentOverlap, frame);
        int end = place.Offset + place.Length;
        bool inconsistent = datagram.Total >= 0 ? end > datagram.Total || (!place.More && end != datagram.Total) : !place.More && IsBeyond(datagram, end);
        if (inconsistent) return Poison(index, frame);
        switch (FindPlace(datagram, place, out int before))
        {
            case Fit.Overlap:
                return Poison(index, frame);
            case Fit.Duplicate:
                return Drop(ref _ip.Counters.DroppedFragmentDuplicate, frame);
        }

        if (datagram.Count == _perDatagramMax || !TryRentFragment(index, out int item))
        {
            Release(index, ref _ip.Counters.DroppedFragmentNoRoom);
            return Drop(ref _ip.Counters.DroppedFragmentNoRoom, frame);
        }

        Insert(ref datagram, item, before, frame, place);
        if (!place.More) datagram.Total = end;
        datagram.EcnSeen |= (byte)(1 << place.Ecn);
        return datagram.Received == datagram.Total && TryJoin(index, ref frame, ref place);
    }

    /// <summary>The time of a datagram is over.</summary>
    public void OnTimeout(int index, Instant now)
    {
        ref Datagram datagram = ref _datagrams[index];
        if (!datagram.IsUsed) return;
        if (datagram.First != 0 && _fragments[datagram.First - 1].Place.Offset == 0)
        {
            // RFC 792, RFC 1122 §3.3.2, RFC 8200 §4.5: time exceeded, code 1, if the first fragment is there to be quoted.
            ref Fragment first = ref _fragments[datagram.First - 1];
            _ip.Errors.SendReassemblyTimeExceeded(first.Frame, first.Place, now);
        }

        Release(index, ref _ip.Counters.DroppedFragmentTimeout);
    }

    private enum Fit
    {
        Free,
        Overlap,
        Duplicate,
    }

    private Fit FindPlace(in Datagram datagram, in FragmentPlace place, out int before)
    {
        before = 0;
        int end = place.Offset + place.Length;
        for (int next = datagram.First; next != 0; next = _fragments[next - 1].Next)
        {
            ref FragmentPlace other = ref _fragments[next - 1].Place;
            if (other.Offset >= end) break;
            if (other.Offset == place.Offset && other.Length == place.Length) return Fit.Duplicate;
            // RFC 5722 §4, RFC 8200 §4.5: overlapping fragments condemn the datagram; the same is done for IPv4 (RFC 1858 shows why).
            if (other.Offset + other.Length > place.Offset) return Fit.Overlap;
            before = next;
        }

        return Fit.Free;
    }

    private bool IsBeyond(in Datagram datagram, int end)
    {
        int last = 0;
        for (int next = datagram.First; next != 0; next = _fragments[next - 1].Next) last = next;
        return last != 0 && _fragments[last - 1].Place.Offset + _fragments[last - 1].Place.Length > end;
    }

    private void Insert(ref Datagram datagram, int item, int before, in Frame frame, in FragmentPlace place)
    {
        ref Fragment fragment = ref _fragments[item - 1];
        fragment = new Fragment { Frame = frame, Place = place };
        ref int link = ref before == 0 ? ref datagram.First : ref _fragments[before - 1].Next;
        fragment.Next = link;
        link = item;
        datagram.Count++;
        datagram.Received += place.Length;
    }

    private bool TryJoin(int index, ref Frame whole, ref FragmentPlace place)
    {
        ref Datagram datagram = ref _datagrams[index];
        // RFC 3168 §5.3: a mark of congestion on one fragment marks the whole; together with one that is not ECN-capable it drops it.
        int ecn = datagram.EcnSeen;
        if ((ecn & 0b1000) != 0 && (ecn & 0b0001) != 0)
        {
            Release(index, ref _ip.Counters.DroppedFragmentEcn);
            return false;
        }

        FramePool frames = _ip.Frames;
        ref Fragment first = ref _fragments[datagram.First - 1];
        (whole, place) = (first.Frame, first.Place);
        frames.TrimEnd(ref whole, place.PayloadOffset + place.Length);
        uint tail = Tail(whole.Chunk);
        for (int next = first.Next; next != 0; next = _fragments[next - 1].Next)
        {
            ref Fragment fragment = ref _fragments[next - 1];
            Frame part = fragment.Frame;
            FrameBytes.TrimFront(ref part, fragment.Place.PayloadOffset);
            frames.TrimEnd(ref part, fragment.Place.Length);
            ref ChunkNote note = ref frames.Chunks.Note(part.Chunk);
            (note.Start, note.Length) = (part.Offset, part.HeadLength);
            frames.Chunks.Note(tail).Next = part.Chunk;
            tail = Tail(part.Chunk);
            whole.Length += part.Length;
        }

        whole.Flags &= ~(FrameFlags.ChecksumVerified | FrameFlags.ChecksumUnfinished);
        if ((ecn & 0b1000) != 0) place.Ecn = 3;
        place.Length = datagram.Total;
        place.More = false;
        _ip.Counters.Reassembled++;
        _ip.Counters.FragmentsMerged += datagram.Count - 1;
        Forget(index);
        return true;
    }

    private uint Tail(uint chunk)
    {
        ChunkPool chunks = _ip.Frames.Chunks;
        while (chunks.Note(chunk).Next != ChunkPool.None) chunk = chunks.Note(chunk).Next;
        return chunk;
    }

    private int FindOrAdd(in FragmentPlace place, Instant now)
    {
        int bucket = Bucket(place.Source, place.Destination, place.Identification);
        for (int next = _buckets[bucket]; next != 0; next = _datagrams[next - 1].Next)
        {
            ref Datagram found = ref _datagrams[next - 1];
            if (found.Identification == place.Identification && found.Protocol == place.Protocol && found.Source == place.Source
                && found.Destination == place.Destination) return next - 1;
        }

        if (_freeDatagram == 0) Release(_oldest - 1, ref _ip.Counters.DroppedFragmentNoRoom);
        int item = _freeDatagram;
        ref Datagram datagram = ref _datagrams[item - 1];
        _freeDatagram = datagram.Next;
        datagram = new Datagram
        {
            Source = place.Source, Destination = place.Destination, Identification = place.Identification, Protocol = place.Protocol,
            Total = -1, IsUsed = true, Next = _buckets[bucket], Older = _newest,
        };
        _buckets[bucket] = item;
        if (_newest != 0) _datagrams[_newest - 1].Newer = item;
        else _oldest = item;
        _newest = item;
        Count++;
        _ip.Timers.ArmReassembly(item - 1, now + (place.Source.IsIPv4 ? _timeoutIPv4 : _timeoutIPv6));
        return item - 1;
    }

    // When fragments run out, the oldest other datagrams make room.
    private bool TryRentFragment(int keep, out int item)
    {
        while (_freeFragment == 0)
        {
            int victim = _oldest == keep + 1 ? _datagrams[keep].Newer : _oldest;
            if (victim == 0) break;
            Release(victim - 1, ref _ip.Counters.DroppedFragmentNoRoom);
        }

        item = _freeFragment;
        if (item == 0) return false;
        _freeFragment = _fragments[item - 1].Next;
        FragmentCount++;
        return true;
    }

    // Drops what is held, and remembers until the time-out to drop the rest too (RFC 5722 §4).
    private bool Poison(int index, in Frame frame)
    {
        ReleaseFragments(ref _datagrams[index], ref _ip.Counters.DroppedFragmentOverlap);
        _datagrams[index].IsPoisoned = true;
        return Drop(ref _ip.Counters.DroppedFragmentOverlap, frame);
    }

    private void Release(int index, ref long counter)
    {
        ReleaseFragments(ref _datagrams[index], ref counter);
        Forget(index);
    }

    private void ReleaseFragments(ref Datagram datagram, ref long counter)
    {
        for (int next = datagram.First; next != 0; next = _fragments[next - 1].Next)
        {
            counter++;
            _ip.Frames.Return(_fragments[next - 1].Frame);
        }

        FreeFragments(ref datagram);
    }

    private void FreeFragments(ref Datagram datagram)
    {
        for (int next = datagram.First; next != 0;)
        {
            ref Fragment fragment = ref _fragments[next - 1];
            int following = fragment.Next;
            fragment.Next = _freeFragment;
            _freeFragment = next;
            next = following;
            FragmentCount--;
        }

        datagram.First = datagram.Count = datagram.Received = 0;
    }

    private void Forget(int index)
    {
        ref Datagram datagram = ref _datagrams[index];
        FreeFragments(ref datagram);
        ref int link = ref _buckets[Bucket(datagram.Source, datagram.Destination, datagram.Identification)];
        while (link != index + 1) link = ref _datagrams[link - 1].Next;
        link = datagram.Next;
        if (datagram.Older != 0) _datagrams[datagram.Older - 1].Newer = datagram.Newer;
        else _oldest = datagram.Newer;
        if (datagram.Newer != 0) _datagrams[datagram.Newer - 1].Older = datagram.Older;
        else _newest = datagram.Older;
        datagram = new Datagram { Next = _freeDatagram };
        _freeDatagram = index + 1;
        Count--;
        _ip.Timers.CancelReassembly(index);
    }

    private bool Drop(ref long counter, in Frame frame)
    {
        counter++;
        _ip.Frames.Return(frame);
        return false;
    }

    private int Bucket(in IpAddress source, in IpAddress destination, uint id) =>
        (int)(_hash.Of(source, destination, id) & (uint)(_buckets.Length - 1));

    private static int BucketCount(IpOptions options) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)options.ReassemblyCountMax);
}
