// Words that public scripts leave to whoever runs them ("-D NAME=VALUE" of packetdrill): what stands for them depends on the addresses.
using System.Text.RegularExpressions;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal static partial class Symbols
{
    /// <summary>A script with values in the place of words that its own options define ("--define=NAME=VALUE").</summary>
    internal static string Define(string text)
    {
        foreach (Match definition in Definition().Matches(text))
        {
            var value = definition.Groups[2].Value.Trim('"');
            // What stands in the option itself is no use of the word.
            text = Regex.Replace(text, $@"(?<!--define=|--D=)\b{definition.Groups[1].Value}\b", _ => value, RegexOptions.CultureInvariant);
        }
        return text;
    }

    /// <summary>Puts values in the place of symbols; false when there are none.</summary>
    internal static bool TryApply(ScriptSetup setup, ref string text)
    {
        if (!Pattern().IsMatch(text)) return false;
        text = Pattern().Replace(text, match => ValueOf(setup, match.Value));
        return true;
    }

    private static string ValueOf(ScriptSetup setup, string symbol) => symbol switch
    {
        "TFO_COOKIE" => CookieOf(setup, setup.FastOpenKeys ?? new FastOpenKeys(0)),
        "TFO_COOKIE_ZERO" => CookieOf(setup, new FastOpenKeys(0)),
        "CMSG_LEVEL_IP" => setup.Local.IsIPv4 ? "SOL_IP" : "SOL_IPV6",
        "CMSG_TYPE_RECVERR" => setup.Local.IsIPv4 ? "IP_RECVERR" : "IPV6_RECVERR",
        // The segment size of the script's MTU.
        "MSS" => $"{setup.Mtu - (setup.Local.IsIPv4 ? 40 : 60)}",
        // The error that says that the host cannot be reached.
        _ => setup.Local.IsIPv4 ? "host_unreachable" : "address_unreachable",
    };

    private static string CookieOf(ScriptSetup setup, FastOpenKeys keys) => Convert.ToHexStringLower(keys.CookieOf(setup.Remote, setup.Local));

    [GeneratedRegex("""^\s*--(?:define|D)=(\w+)=("[^"\n]*"|\S*)""", RegexOptions.Multiline)]
    private static partial Regex Definition();

    [GeneratedRegex(@"\b(TFO_COOKIE|TFO_COOKIE_ZERO|CMSG_LEVEL_IP|CMSG_TYPE_RECVERR|CODE|(?<=\bmss )MSS)\b")]
    private static partial Regex Pattern();
}
