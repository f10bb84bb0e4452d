// The Python that scripts have between %{ and }%: assertions and prints over the fields of tcp_info, and what computes them. As much of the
// language as a test needs; what it does not have makes the script not applicable.
namespace Peregrine.Scripting.Language;

internal static class Python
{
    private const int LengthMax = 64 * 1024;

    /// <summary>Runs a piece of a script's code; the text of the assertion that does not hold, or null.</summary>
    internal static string? Run(PythonScope scope, string text)
    {
        if (text.Length > LengthMax) throw new NotApplicableException("the Python is longer than 64 KiB");
        scope.Failure = null;
        scope.Run(PythonParser.Parse(text));
        return scope.Failure;
    }
}
