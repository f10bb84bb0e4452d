// Constants in calls, where a number is needed rather than a name. What has another number elsewhere is only compared by name.
using Peregrine.Posix;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal static class Constants
{
    internal static long NonBlock(PosixManners manners) => manners.IsFreeBsd ? 0x4 : 0x800;

    internal static long ValueOf(Language.ScriptValue value) => value switch
    {
        Number number => number.Value,
        Or or => or.Parts.Aggregate(0L, static (sum, part) => sum | ValueOf(part)),
        List { Items: [var only] } => ValueOf(only),
        Call { Function: "htons" or "htonl", Arguments: [var only] } => ValueOf(only),
        Name name => Named(name.Value),
        Ellipsis => throw new NotApplicableException("a number that is left open"),
        _ => throw new NotApplicableException($"'{value}' where a number is needed"),
    };

    /// <summary>Bits of SO_TIMESTAMPING (linux/net_tstamp.h).</summary>
    internal const long StampKeys = 1 << 7;

    private static long Named(string name) => name == "NULL" ? 0
        : LinuxNumbers.TryGet(name, out var number) ? number : throw new NotApplicableException($"the constant {name} is not understood");
}
