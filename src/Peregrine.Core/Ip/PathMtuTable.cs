// Path MTUs that were reported to be smaller than the interface's (RFC 1191, RFC 8201): a bounded hash table of destinations, in sets of
// four so that no chain can be made long. Lowered only by reports that a transport confirmed; forgotten with age.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Destinations and their path MTU.</summary>
internal sealed class PathMtuTable
{
    private const int Ways = 4;
    private const int SweepMax = 4096;

    private struct Entry
    {
        public IpAddress Remote;
        public Instant Expires;
        public int Mtu;          // 0: free
    }

    private readonly RegionArray<Entry> _entries;
    private readonly AddressHash _hash;
    private readonly Duration _age;
    private readonly int _floorIPv4;
    private int _cursor;

    public PathMtuTable(MemoryRegion region, IpOptions options, AddressHash hash)
    {
        _entries = new RegionArray<Entry>(region, Size(options.PathMtuCountMax));
        _hash = hash;
        _age = Duration.FromSeconds(options.PathMtuAgeSeconds);
        _floorIPv4 = options.PathMtuFloorIPv4;
    }

    public int Count { get; private set; }

    public static nuint BytesFor(IpOptions options) => RegionArray<Entry>.BytesFor(Size(options.PathMtuCountMax));

    /// <summary>The path MTU to a destination, at most the interface's.</summary>
    public int Get(in IpAddress remote, int interfaceMtu, Instant now)
    {
        if (Count == 0) return interfaceMtu;
        int set = Set(remote);
        for (int i = set; i < set + Ways; i++)
        {
            ref Entry entry = ref _entries[i];
            if (entry.Mtu == 0 || entry.Remote != remote) continue;
            if (entry.Expires > now) return Math.Min(entry.Mtu, interfaceMtu);
            // RFC 1191 §6.3, RFC 8201 §4: stale information is forgotten, and the larger packets that follow detect an increase.
            entry.Mtu = 0;
            Count--;
        }

        return interfaceMtu;
    }

    /// <summary>Lowers the path MTU; false when the report changes nothing.</summary>
    /// <param name="remote">The destination.</param>
    /// <param name="reported">The MTU that was reported.</param>
    /// <param name="interfaceMtu">What the path is believed to carry without a report.</param>
    /// <param name="now">The time.</param>
    public bool TryLower(in IpAddress remote, int reported, int interfaceMtu, Instant now)
    {
        // RFC 8201 §4: nothing below the IPv6 minimum link MTU. RFC 1191 §3 allows 68 for IPv4; the floor keeps attackers
        // from cutting a connection into crumbs (RFC 5927 §7.2 discusses the damage).
        int mtu = Math.Max(reported, remote.IsIPv4 ? _floorIPv4 : 1280);
        if (mtu >= Get(remote, interfaceMtu, now)) return false;
        int set = Set(remote), victim = set;
        for (int i = set; i < set + Ways; i++)
        {
            ref Entry entry = ref _entries[i];
            if (entry.Mtu != 0 && entry.Remote == remote)
            {
                victim = i;
                break;
            }

            if (_entries[victim].Mtu != 0 && (entry.Mtu == 0 || entry.Expires < _entries[victim].Expires)) victim = i;
        }

        if (_entries[victim].Mtu == 0) Count++;
        _entries[victim] = new Entry { Remote = remote, Expires = now + _age, Mtu = mtu };
        return true;
    }

    /// <summary>Forgets what is too old, so that flows may try larger packets; whether there was something. Looks at a bounded part.</summary>
    public bool Sweep(Instant now)
    {
        bool found = false;
        for (int i = 0; i < Math.Min(_entries.Length, SweepMax); i++)
        {
            _cursor = _cursor + 1 < _entries.Length ? _cursor + 1 : 0;
            ref Entry entry = ref _entries[_cursor];
            if (entry.Mtu == 0 || entry.Expires > now) continue;
            entry.Mtu = 0;
            Count--;
            found = true;
        }

        return found;
    }

    private int Set(in IpAddress remote) => (int)(_hash.Of(remote, 0) & (uint)((_entries.Length / Ways) - 1)) * Ways;

    private static int Size(int countMax) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(countMax, Ways));
}
