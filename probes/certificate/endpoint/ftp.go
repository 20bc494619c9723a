package endpoint

// ftp is the dialogue of FTP, RFC 4217 §4.
func ftp(c *conversation) error {
	greeting, err := c.looseReply()
	if err != nil {
		return err
	}
	if greeting.code != 220 {
		return greeting.refused()
	}
	if err := c.send("AUTH TLS\r\n"); err != nil {
		return err
	}
	answer, err := c.looseReply()
	if err != nil {
		return err
	}
	if answer.code != 234 {
		return answer.refused()
	}
	return nil
}
