// Every counter of a network by group and name, read as plain longs from wherever it is asked: each long is whole, the set of them is
// not one moment's. For metrics and tools, never for the packet path.
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;
using Peregrine.Core.Udp;
using Peregrine.Qlog;

namespace Peregrine;

internal sealed class CounterTable
{
    private readonly List<(string Group, FieldInfo[] Fields, Func<object> Read)> _groups = [];

    internal CounterTable(CoreEngine engine)
    {
        Add<EngineCounters>("engine", () => engine.Counters);
        Add<LinkWatchCounters>("linkWatch", () => engine.LinkWatch.Counters);
        Add<TurnSums>("profile", () => engine.Profile);
        Add<QlogCounters>("qlog", () => engine.Qlog?.Counters ?? default);
        Add<LinkQueueCounters>("link", () => engine.LinkCounters);
        Add<IpCounters>("ip", () => engine.Stack.Ip.Counters);
        Add<IcmpCounters>("icmp", () => engine.Stack.Ip.IcmpCounters);
        Add<NeighbourCounters>("neighbour", () => engine.Stack.Ip.NeighbourCounters);
        Add<UdpCounters>("udp", () => engine.Stack.Udp.Counters);
        Add<TcpCounters>("tcp", () => engine.Stack.Tcp.Counters);
        Add<TcpExtCounters>("TcpExt", () => engine.Stack.Tcp.ExtCounters);
    }

    internal IEnumerable<string> Groups => _groups.Select(static g => g.Group);

    internal IEnumerable<(string Name, long Value)> Read(string group)
    {
        foreach (var (name, fields, read) in _groups)
        {
            if (name != group) continue;
            var counters = read();
            foreach (var field in fields) yield return (field.Name, (long)field.GetValue(counters)!);
        }
    }

    private void Add<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields)] T>(string group, Func<object> read)
        where T : struct =>
        _groups.Add((group, typeof(T).GetFields(BindingFlags.Public | BindingFlags.Instance).Where(static f => f.FieldType == typeof(long)).ToArray(), read));
}
