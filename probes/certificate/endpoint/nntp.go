package endpoint

// nntp is the dialogue of NNTP, RFC 4642 §2.2. The greeting says whether posting
// is allowed, which is of no interest here.
func nntp(c *conversation) error {
	if _, err := c.expect(200, 201); err != nil {
		return err
	}
	if err := c.send("STARTTLS\r\n"); err != nil {
		return err
	}
	_, err := c.expect(382)
	return err
}
