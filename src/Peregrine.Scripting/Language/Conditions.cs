// The C preprocessor's conditions that some scripts have for systems that behave differently: lines that are not meant become empty, so
// that line numbers stay.
namespace Peregrine.Scripting.Language;

internal static class Conditions
{
    internal static string Apply(string text, string defined)
    {
        if (!text.Contains("#if", StringComparison.Ordinal)) return text;
        var lines = text.Split('\n');
        var active = new Stack<bool>();
        for (var i = 0; i < lines.Length; i++)
        {
            var words = lines[i].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            var directive = words.Length > 0 ? words[0] : "";
            var isDirective = true;
            if (directive is "#ifdef" or "#ifndef" && words.Length > 1) active.Push(words[1] == defined == (directive == "#ifdef"));
            else if (directive == "#else" && active.Count > 0) active.Push(!active.Pop());
            else if (directive == "#endif" && active.Count > 0) active.Pop();
            else isDirective = false;
            if (isDirective || active.Contains(false)) lines[i] = "";
        }
        return string.Join('\n', lines);
    }
}
