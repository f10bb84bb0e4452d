// The keys of a listener or a connection. Those of the narrowest identifier that a connection fits are the connection's; others do not count for it.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>Keys, at most 256, that do not change. Among keys for the same connections the first is the one to begin with.</summary>
public sealed class TcpKeySet
{
    private readonly TcpPeerKeys[] _peers;

    /// <summary>Makes a set.</summary>
    /// <param name="keys">The keys, those for the same connections in the order of preference.</param>
    /// <exception cref="ArgumentException">Keys for the same connections contradict each other (RFC 5925 §3.1, §8); the message says how.</exception>
    public TcpKeySet(params ReadOnlySpan<TcpKey> keys)
    {
        if (keys.Length is 0 or > 256) throw new ArgumentException($"There are {keys.Length} keys; there must be 1 to 256.", nameof(keys));
        var byPeer = new List<List<TcpKey>>();
        foreach (var key in keys)
        {
            ArgumentNullException.ThrowIfNull(key, nameof(keys));
            Add(byPeer, key);
        }
        _peers = new TcpPeerKeys[byPeer.Count];
        for (var i = 0; i < _peers.Length; i++) _peers[i] = new TcpPeerKeys(byPeer[i].ToArray());
        // The narrowest first, the one for every connection last.
        Array.Sort(_peers, static (a, b) => a.Keys[0].CompareNarrowness(b.Keys[0]));
    }

    private static void Add(List<List<TcpKey>> byPeer, TcpKey key)
    {
        foreach (var same in byPeer)
        {
            if (!same[0].IsForTheSameAs(key)) continue;
            same.Add(key);
            return;
        }
        byPeer.Add([key]);
    }

    /// <summary>The keys of a connection between these, or null.</summary>
    internal TcpPeerKeys? For(in Endpoint local, in Endpoint peer)
    {
        foreach (var keys in _peers)
        {
            if (keys.Keys[0].Takes(local, peer)) return keys;
        }
        return null;
    }
}

/// <summary>The keys that a peer shares with us: one for MD5, or master key tuples with identifiers that differ.</summary>
internal sealed class TcpPeerKeys
{
    internal TcpPeerKeys(TcpKey[] keys)
    {
        Keys = keys;
        for (var i = 0; i < keys.Length; i++)
        {
            for (var j = 0; j < i; j++)
            {
                if (keys[i].IsMd5 || keys[j].IsMd5) throw new ArgumentException($"An MD5 key is the only key of its peers: {keys[j]}, {keys[i]}.", nameof(keys));
                // RFC 5925 §3.1: the IDs of MKTs must not overlap where their connection identifiers do.
                if (keys[i].SendId == keys[j].SendId || keys[i].ReceiveId == keys[j].ReceiveId)
                    throw new ArgumentException($"Keys of the same peers need identifiers that differ: {keys[j]}, {keys[i]}.", nameof(keys));
            }
        }
    }

    internal TcpKey[] Keys { get; }

    internal bool IsMd5 => Keys[0].IsMd5;

    internal TcpKey? BySendId(byte id)
    {
        foreach (var key in Keys)
        {
            if (key.SendId == id) return key;
        }
        return null;
    }

    internal TcpKey? ByReceiveId(byte id)
    {
        foreach (var key in Keys)
        {
            if (key.ReceiveId == id) return key;
        }
        return null;
    }
}
