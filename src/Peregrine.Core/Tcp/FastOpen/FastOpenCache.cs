// A client's memory of servers (RFC 7413 §4.1.3): cookie, segment size, and when it went wrong. Bounded: a table of small sets under a keyed
// hash, in which the entry that was used longest ago gives way. Nothing is kept before the first connection asks.
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.FastOpen;

/// <summary>What is known of one server.</summary>
internal struct FastOpenServerMemory
{
    internal IpAddress Remote;
    internal FastOpenCookie Cookie;

    /// <summary>The last MSS that it announced; 0 before that.</summary>
    internal ushort Mss;

    /// <summary>The cookie came in the form of the experiment.</summary>
    internal bool IsExperimental;

    /// <summary>Requests that it has not answered, up to 2: the second is made in the form of the experiment.</summary>
    internal byte Unanswered;

    /// <summary>SYNs with cookie or data that ran into their time-out, one after another.</summary>
    internal byte Losses;

    /// <summary>RFC 7413 §4.1.3.1: not before this.</summary>
    internal Instant DisabledUntil;
    internal long LastUse;
    internal bool IsUsed;
}

/// <summary>The cookies that servers have given us.</summary>
internal sealed class FastOpenCache(int countMax, AddressHash hash)
{
    private const int Ways = 4;

    private readonly AddressHash _hash = hash;
    private readonly int _setCount = Math.Max(1, countMax / Ways);
    private FastOpenServerMemory[] _entries = [];
    private long _uses;

    /// <summary>Whether something is known of a server.</summary>
    internal bool TryFind(in IpAddress remote, out FastOpenServerMemory entry)
    {
        foreach (ref var candidate in SetOf(remote))
        {
            if (!candidate.IsUsed || candidate.Remote != remote) continue;
            candidate.LastUse = ++_uses;
            entry = candidate;
            return true;
        }
        entry = default;
        return false;
    }

    /// <summary>The server's entry, to be written; an empty one where there was none.</summary>
    internal ref FastOpenServerMemory Open(in IpAddress remote)
    {
        if (_entries.Length == 0) _entries = new FastOpenServerMemory[_setCount * Ways];
        var set = SetOf(remote);
        var chosen = 0;
        for (var i = 0; i < set.Length; i++)
        {
            if (set[i].IsUsed && set[i].Remote == remote)
            {
                chosen = i;
                break;
            }
            if (set[i].LastUse < set[chosen].LastUse) chosen = i;
        }
        ref var entry = ref set[chosen];
        if (!entry.IsUsed || entry.Remote != remote) entry = new FastOpenServerMemory { Remote = remote, IsUsed = true };
        entry.LastUse = ++_uses;
        return ref entry;
    }

    /// <summary>Forgets all servers.</summary>
    internal void Clear() => _entries = [];

    private Span<FastOpenServerMemory> SetOf(in IpAddress remote) =>
        _entries.Length == 0 ? default : _entries.AsSpan((int)(_hash.Of(remote, 0) % (uint)_setCount) * Ways, Ways);
}
